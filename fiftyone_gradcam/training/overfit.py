"""Sanity check: overfit a few images. A setup that cannot do that cannot learn at all."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..model.device import pick_device
from ..progress import counted
from .evidence import guessing_and_knowing, loss_words
from .learner import Evaluation, Learner, Sums
from .learning_faults import FAR_MOVED, UNMOVED
from .optimization import rate_factor
from .recipe import Recipe
from .sources import Labelled, Pictures

LOOK_EVERY = 10  # steps between two evaluations
WARMUP = 0.1  # share of the steps
PLAIN = {
    **dict.fromkeys(("horizontal_flip", "vertical_flip", "gradual_unfreezing"), False),
    **dict.fromkeys(("scale", "rotation", "elastic", "brightness", "contrast"), 0.0),
    **dict.fromkeys(("noise", "cutout", "mixup", "ema"), 0.0),
    "translation": 0,
    "crop": 1.0,
    "class_balance": "none",
}


@dataclass(frozen=True)
class SanityCheck:
    """Result of a sanity check: whether a setup can learn at all.

    Attributes:
        passed: whether the network has memorized all images
        accuracy, loss: of these images at the end, without dropout
        losses: training loss of each step
        cause: the reason of a failure: "contradiction", "dead_head", "frozen_at_random", "frozen",
            "rate_too_low", "rate_too_high" or "unknown"; None if passed
        message: the result in words
    """

    passed: bool
    accuracy: float
    loss: float
    losses: list[float]
    cause: str | None
    message: str

    def __str__(self) -> str:
        return self.message


def overfit(
    recipe: Recipe,
    num_classes: int,
    data: Labelled,
    steps: int = 100,
    device: str | None = None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> SanityCheck:
    """Train on a few images until all are predicted correctly, or the steps are done.

    The recipe is followed, except for what would obscure the result: there is no augmentation,
    weight averaging or class balance, and the learning rate stays at its highest value after a
    warmup. torch's global random state is restored afterwards.

    Args:
        recipe: the settings
        num_classes: number of classes K
        data: the images, of at least two classes
        steps: maximum number of steps, at least 1
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        on_step: called after each step with the number of steps done, and of all steps

    Raises:
        ValueError: if none of the images can be decoded
    """
    device = pick_device(device)
    recipe = replace(recipe, **PLAIN, batch_size=min(recipe.batch_size, len(data)))
    data, twins = _decoded(data)
    counts = np.bincount(data.labels[data.positions], minlength=num_classes)
    guessing, _ = guessing_and_knowing(recipe, counts)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        learner = Learner(recipe, num_classes, device, data.labels[data.positions])
        source = Pictures(data, recipe, num_classes, learner.backbone, device)
        losses, found = _learn(learner, source, steps, guessing, on_step)
    labels = data.labels[found.positions]
    passed = _is_passed(found, guessing)
    cause, reason = None, ""
    if not passed:
        wrong = set(found.positions[found.predicted != labels])
        if twins and wrong <= set(np.concatenate(twins)):
            cause = "contradiction"
        else:
            cause, reason = _why(learner, found, losses, guessing)
        if twins:
            reason = f"{_contradiction(data, twins)} {reason}".strip()
    right = round(found.accuracy * len(labels))
    verdict = (
        f"{right} of {len(labels)} images are memorized after {counted(len(losses), 'step')}; the "
        f"loss went from {loss_words(losses[0])} to {loss_words(found.loss)}."
    )
    said = "This setup can learn" if passed else "This setup does not learn"
    message = f"{said}: {verdict}{' ' * (not passed)}{reason}"
    return SanityCheck(passed, found.accuracy, found.loss, losses, cause, message)


def _decoded(data: Labelled) -> tuple[Labelled, list[list[int]]]:
    """Return the images that can be decoded, and groups of equal images with different classes."""
    same: dict[bytes, list[int]] = defaultdict(list)
    for batch in data.images.batches(64, data.positions):
        for position, image in zip(batch.positions, batch.images, strict=True):
            same[image.numpy().tobytes()].append(int(position))
    if not same:
        data.images.check_readable(data.positions)
    positions = np.sort(np.concatenate(list(same.values())))
    twins = [group for group in same.values() if len(set(data.labels[group])) > 1]
    return Labelled(data.images, data.labels, positions), twins


def _learn(
    learner: Learner,
    source: Pictures,
    steps: int,
    guessing: float,
    on_step: Callable[[int, int], None],
) -> tuple[list[float], Evaluation]:
    """Return the loss of each step, and the evaluation of the network at the end."""
    random = np.random.default_rng(learner.recipe.seed)
    order, losses = np.empty(0, np.int64), []
    reader, size = source.reader(learner.model), source.recipe.batch_size
    while len(losses) < steps and (not losses or math.isfinite(losses[-1])):
        if not len(order):
            order = random.permutation(source.data.positions)
        chosen, order = order[:size], order[size:]
        learner.freezer.train(learner.freezer.least)
        sums, factor = Sums(), rate_factor("constant", WARMUP, len(losses), steps)
        for batch in source.batches(chosen):
            learner.learn(batch, reader, sums, factor)
        losses.append(sums.read()[0])
        on_step(len(losses), steps)
        if len(losses) % LOOK_EVERY == 0:
            found = learner.evaluate(source, lambda _: None)
            if _is_passed(found, guessing):
                return losses, found
    return losses, learner.evaluate(source, lambda _: None)


def _is_passed(found: Evaluation, guessing: float) -> bool:
    """Return whether all images are memorized; of two or three, all may be correct by chance."""
    return found.accuracy == 1 and found.loss < 0.5 * guessing


def _contradiction(data: Labelled, twins: list[list[int]]) -> str:
    paths = [data.images.paths[i] for i in twins[0][:2]]
    return (
        f"{sum(map(len, twins))} of the images are equal to one of another class (such as "
        f"{paths[0]} and {paths[1]}), which no network can learn. Correct their labels."
    )


def _why(
    learner: Learner, found: Evaluation, losses: list[float], guessing: float
) -> tuple[str, str]:
    """Return the probable cause of a failure, and the remedy."""
    recipe, moved, steps = learner.recipe, learner.head_change(), len(losses)
    rate, freeze = recipe.learning_rate, recipe.freeze
    lower = f"Lower learning_rate tenfold, from {rate:g} to {rate / 10:g}."
    first, last = (float(np.mean(part)) for part in (losses[: steps // 4 + 1], losses[-5:]))
    if found.dead > 0.5:
        cause = "dead_head"
        reason = (
            f"The last layer of {recipe.backbone} is dead: it ends in a ReLU, and for "
            f"{found.dead:.0%} of the images it outputs exactly 0 for every class. "
            f"{lower if moved > UNMOVED else 'Start with other weights, or another seed.'}"
        )
    elif not math.isfinite(losses[-1]):
        cause = "rate_too_high"
        reason = f"The loss is not a number: the learning rate is too high. {lower}"
    elif recipe.from_scratch and freeze not in ("none", 0):
        cause = "frozen_at_random"
        reason = (
            f"The frozen part (freeze={freeze!r}) has random weights (weights='none'). Pass "
            f"freeze='none', or pretrained weights."
        )
    elif moved < UNMOVED or (moved < FAR_MOVED and last < 0.95 * first):
        cause = "rate_too_low"
        reason = (
            f"The new layers moved by {moved:.2g} times their size: the learning rate is too low "
            f"for so few steps. Raise learning_rate tenfold, from {rate:g} to {10 * rate:g}, or "
            f"try more than {steps} steps."
        )
    elif moved > FAR_MOVED or last > max(first, 2 * guessing):
        cause = "rate_too_high"
        reason = (
            f"The new layers moved by {moved:.3g} times their size, and the loss did not fall: "
            f"the learning rate is too high. {lower}"
        )
    elif freeze not in ("none", 0):
        cause = "frozen"
        reason = f"With freeze={freeze!r} too few layers are trained. Pass freeze='none'."
    else:
        cause = "unknown"
        reason = (
            f"Check whether the classes can be distinguished at {recipe.image_size} pixels "
            f"(image_size). Then try more than {steps} steps, and another learning_rate."
        )
    return cause, reason
