"""Which learning rate? The range test: the rate rises step by step, and the loss tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..model.device import pick_device
from .history import Hooks
from .learner import Sums
from .loop import DivergedError, Loop
from .optimization import draw_order
from .recipe import Recipe
from .sources import Labelled, Pictures

LEAST_STEPS = 20
LAG = 0.1  # of all steps: by so many the smoothed loss lags behind
DIVERGED = 4.0  # times its lowest: a smoothed loss beyond ends the test (as in fastai)
LOW = 0.1  # a smoothed loss below counts as this: four times next to nothing is noise
SHARE = 0.75  # of the fall of the loss; where that much is done lies the suggestion
CLEAR = 3.0  # standard deviations of the smoothed loss: less is no fall and no rise
NOTHING = 1e-3  # of the loss: less is no fall and no rise either
SAFETY = 10.0  # a rate so many times below the one that spoils a network


@dataclass(frozen=True)
class LearningRateTest:
    """A range test.

    Attributes:
        learning_rates: of the backbone, step by step
        losses: of the batch of each step, before the step
        smoothed: the same, averaged
        suggestion: a good highest rate for a training by the same recipe; None if the loss neither
            falls nor rises
        reason: why that one
        recipe_rate: the rate that the recipe has
        path: of the picture of the curve; None if none was drawn
    """

    learning_rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    reason: str
    recipe_rate: float
    path: str | None = None

    def __str__(self) -> str:
        if self.suggestion is None:
            return f"No learning rate is suggested: {self.reason}"
        ratio = self.suggestion / self.recipe_rate
        if 1 / 3 <= ratio <= 3:
            words = "about the same"
        else:
            words = f"{max(ratio, 1 / ratio):.0f} times {'lower' if ratio > 1 else 'higher'}"
        return (
            f"Suggested learning rate: {self.suggestion:.1e} ({self.reason}). The recipe has "
            f"{self.recipe_rate:.1e}: {words}"
        )


def range_test(
    recipe: Recipe,
    num_classes: int,
    train_set: Labelled,
    lowest: float = 1e-7,
    highest: float = 1.0,
    steps: int = 100,
    device: str | None = None,
    advance: Callable[[int, int], None] = lambda *_: None,
) -> LearningRateTest:
    """Let the learning rate rise exponentially over some steps of a recipe's own training (Smith,
    arXiv 1506.01186), and see where the loss falls.

    The training begins as the recipe's: with the same weights, after its `head_epochs`, and with
    all learning that is ever to learn. It ends early where the loss is no longer finite, or the
    smoothed loss is above four times its lowest (or 0.1). torch's global random state is left as
    it was found.

    Args:
        recipe: what to do; its schedule and its learning rate (but in `head_epochs`) do not matter
        num_classes: number of classes K
        train_set: images to learn from; drawn again when all were seen
        lowest, highest: rates of the first and last step, in (0, 10]
        steps: how many, at least 20
        device: such as "cpu" or "cuda"; None picks
        advance: called after each batch with the number of images done, and of all

    Raises:
        ValueError: if a number is out of range, none of the images can be decoded, or the loss is
            not finite from the beginning
    """
    if not 0 < lowest < highest <= 10:
        raise ValueError(
            f"lowest and highest must be increasing rates in (0, 10], not {lowest!r} and "
            f"{highest!r}"
        )
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < LEAST_STEPS:
        raise ValueError(f"steps must be a whole number of at least {LEAST_STEPS}, not {steps!r}")
    device, hooks = pick_device(device), Hooks(lambda done, total, _: advance(done, total))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        loop = Loop(recipe, num_classes, train_set, None, device, hooks)
        rates = np.geomspace(lowest, highest, steps)
        losses = _losses(loop, rates)
        advance(loop.total, loop.total)
    if not losses:
        loop.check_decoded()
        raise ValueError(f"The loss is not finite at lowest={lowest:g}. Pass a lower rate")
    smoothed = smooth(losses, steps)
    suggestion, reason = suggest(rates[: len(losses)], losses, smoothed, steps)
    return LearningRateTest(
        tuple(rates[: len(losses)].tolist()),
        tuple(losses),
        tuple(smoothed),
        suggestion,
        reason,
        recipe.learning_rate,
    )


def _losses(loop: Loop, rates: np.ndarray) -> list[float]:
    """The loss of each step, as far as it goes."""
    recipe, learner, data = loop.recipe, loop.learner, loop.train_set
    # Batches continue from one pass to the next, so that none is smaller and its loss more noisy.
    recipe = replace(recipe, batch_size=min(recipe.batch_size, max(len(data), 1)))
    pictures = Pictures(data, recipe, loop.train_source.num_classes, learner.backbone, loop.device)
    count = len(rates) * recipe.batch_size
    # Where the new layers alone are trained in any case, they are not trained alone before.
    alone = recipe.freeze == "backbone" and not recipe.augments
    head_first = recipe.head_epochs and not (recipe.from_scratch or alone)
    loop.total = count + len(data) * bool(head_first)
    if head_first:
        try:
            loop.train_head()
        except DivergedError:
            raise ValueError(
                f"The loss of the new layers is no longer finite at learning_rate="
                f"{recipe.learning_rate:g}. Lower it, or pass head_epochs=0"
            ) from None
    random = loop.start_draws(1)
    learner.freezer.train(learner.freezer.frozen(recipe.epochs))
    passes = range(math.ceil(count / max(len(data), 1)))
    orders = [draw_order(data.positions, data.labels, recipe, random) for _ in passes]
    reader = pictures.reader(learner.model)
    batches = pictures.batches(np.concatenate(orders)[:count], random)
    losses: list[float] = []
    for rate, batch in zip(rates, batches, strict=False):  # fewer, where none could be decoded
        sums = Sums()
        learner.learn(batch, reader, sums, rate / recipe.learning_rate)
        loss = sums.read()[0]
        if not math.isfinite(loss):
            break
        losses.append(loss)
        loop.advance(len(batch.positions))
        smoothed = smooth(losses, len(rates))
        settled = len(losses) > LAG * len(rates)  # the first averages are of few batches
        if settled and smoothed[-1] > DIVERGED * max(min(smoothed), LOW):
            break
    return losses


def smooth(losses: Sequence[float], steps: int) -> list[float]:
    """An exponential average that lags by a tenth of all steps, without bias to its start.

    Args:
        losses: of the first steps
        steps: number of all steps

    Returns:
        as many numbers
    """
    decay, average, smoothed = _decay(steps), 0.0, []
    for number, loss in enumerate(losses, start=1):
        average = decay * average + (1 - decay) * loss
        smoothed.append(average / (1 - decay**number))
    return smoothed


def _decay(steps: int) -> float:
    return 1 - 1 / (LAG * steps)


def suggest(
    learning_rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], steps: int
) -> tuple[float | None, str]:
    """The learning rate that a range test speaks for, and why.

    It is the rate at which three quarters of the fall of the smoothed loss are done, from where it
    usually is in the first third of the steps before its lowest: in the steep part of the fall,
    well below the rates at which it rises. fastai's lr_find offers the steepest step, a tenth of
    the rate of the lowest loss, the middle of the longest falling sequence ("valley"), and the
    last step before the rise ("slide"); all of them hang on single steps, and so on noise. In 24
    tests (small networks from scratch, SqueezeNet and MobileNetV2 fine-tuned; AdamW, Adam, SGD)
    this rule came within a factor of 5 of the rate with the lowest validation loss, the tenth
    within 13, and the steepest step within 1,000.

    Where the loss hardly falls, as after the new layers were trained alone, it is a tenth of the
    rate from which it stays higher than usual.

    Args:
        learning_rates, losses, smoothed: step by step
        steps: number of all steps that were intended

    Returns:
        None if the loss neither falls nor rises
    """
    skipped = round(LAG * steps)
    if len(losses) <= 2 * skipped:
        return None, "the loss was no longer finite, or rose, from the beginning; lower `lowest`"
    rates, means = np.array(learning_rates)[skipped:], np.array(smoothed)[skipped:]
    bottom = int(means.argmin())
    usual = float(np.median(means[: bottom // 3 + 1]))
    fall = usual - means[bottom]
    noise = max(CLEAR * _noise(losses, steps), NOTHING * usual)
    if fall > noise:
        above = np.flatnonzero(means[: bottom + 1] >= usual - SHARE * fall)
        return float(rates[above[-1]]), "three quarters of the fall of the loss are done there"
    calm = np.flatnonzero(means <= usual + noise)
    first = int(calm[-1]) + 1
    if first < len(rates):
        return (
            float(rates[first] / SAFETY),
            f"the loss hardly falls; a tenth of {rates[first]:.1e}, from which it rises",
        )
    return None, "the loss neither falls nor rises; raise `highest`, or see whether anything learns"


def _noise(losses: Sequence[float], steps: int) -> float:
    """Standard deviation of a smoothed loss that does not change but for noise.

    From the median difference of one loss to the next, which a few large ones do not disturb: for
    normal noise it is 0.954 standard deviations; an average that decays by d keeps
    sqrt((1 - d) / (1 + d)) of them.
    """
    decay = _decay(steps)
    jump = float(np.median(np.abs(np.diff(losses))))
    return jump / 0.954 * math.sqrt((1 - decay) / (1 + decay))
