"""Learning rate range test: raise the learning rate step by step, and observe the loss."""

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
LAG = 0.1  # share of all steps by which the smoothed loss lags
DIVERGED = 4.0  # the test ends at this multiple of the lowest smoothed loss (as in fastai)
LOW = 0.1  # lower losses count as this: four times a tiny loss is noise
SHARE = 0.75  # the suggestion is where this share of the fall of the loss is reached
CLEAR = 3.0  # standard deviations of the smoothed loss; smaller changes are ignored
NOTHING = 1e-3  # share of the loss; smaller changes are ignored, too
SAFETY = 10.0  # the suggestion is this many times below a rate that is too high


@dataclass(frozen=True)
class LearningRateTest:
    """Result of a learning rate range test.

    Attributes:
        learning_rates: of the backbone, for each step
        losses: of the batch of each step, before the step
        smoothed: the losses, smoothed
        suggestion: a good highest learning rate for a training with the same recipe; None if the
            loss neither falls nor rises
        reason: the reason for the suggestion
        recipe_rate: the learning rate of the recipe
        path: file of the plot; None if there is none
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
    """Run a learning rate range test (Smith, arXiv 1506.01186).

    The learning rate rises exponentially over some steps of the recipe's training, which starts as
    usual: with the same weights, after its `head_epochs`, and with all layers trainable that are
    trained in any epoch. It stops early if the loss is not finite, or the smoothed loss is above
    four times its lowest value (which counts as 0.1 if it is lower). torch's global random state is
    restored afterwards.

    Args:
        recipe: the settings; its schedule and its learning rate (except in `head_epochs`) are not
            used
        num_classes: number of classes K
        train_set: training images; drawn again when all have been used
        lowest, highest: learning rates of the first and last step, in (0, 10]
        steps: number of steps, at least 20
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        advance: called after each batch with the number of images done, and of all images

    Raises:
        ValueError: if a number is out of range, none of the images can be decoded, or the loss is
            not finite in the first step
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
    """Return the loss of each step until the test ends."""
    recipe, learner, data = loop.recipe, loop.learner, loop.train_set
    # Batches continue across passes: a smaller last batch would have a noisier loss.
    recipe = replace(recipe, batch_size=min(recipe.batch_size, max(len(data), 1)))
    pictures = Pictures(data, recipe, loop.train_source.num_classes, learner.backbone, loop.device)
    count = len(rates) * recipe.batch_size
    # If only the new layers are trained anyway, there is no separate training of them before.
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
    for rate, batch in zip(rates, batches, strict=False):  # fewer if images cannot be decoded
        sums = Sums()
        learner.learn(batch, reader, sums, rate / recipe.learning_rate)
        loss = sums.read()[0]
        if not math.isfinite(loss):
            break
        losses.append(loss)
        loop.advance(len(batch.positions))
        smoothed = smooth(losses, len(rates))
        settled = len(losses) > LAG * len(rates)  # the first averages are over few batches
        if settled and smoothed[-1] > DIVERGED * max(min(smoothed), LOW):
            break
    return losses


def smooth(losses: Sequence[float], steps: int) -> list[float]:
    """Return a bias-corrected exponential average that lags by a tenth of all steps.

    Args:
        losses: of the first steps
        steps: total number of steps

    Returns:
        as many numbers as `losses`
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
    """Return the learning rate that a range test suggests, and the reason.

    It is the rate at which the smoothed loss has fallen by three quarters, from its median in the
    first third of the steps before its lowest value: in the steep part of the curve, well below the
    rates at which it rises. fastai's lr_find offers the steepest step, a tenth of the rate of the
    lowest loss, the middle of the longest falling sequence ("valley"), and the last step before the
    rise ("slide"); all of them depend on single steps, and therefore on noise. In 24 tests (small
    networks from scratch, SqueezeNet and MobileNetV2 fine-tuned; AdamW, Adam, SGD) this rule came
    within a factor of 5 of the rate with the lowest validation loss, the tenth within 13, and the
    steepest step within 1,000.

    If the loss hardly falls, for example after the new layers were trained alone, the suggestion is
    a tenth of the rate from which the loss stays above its usual value.

    Args:
        learning_rates, losses, smoothed: for each step
        steps: total number of steps that were planned

    Returns:
        the rate, or None if the loss neither falls nor rises; and the reason
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
    return None, "the loss neither falls nor rises; raise `highest`, or run a sanity check"


def _noise(losses: Sequence[float], steps: int) -> float:
    """Return the standard deviation that noise alone gives the smoothed loss.

    It is estimated from the median difference of consecutive losses, which is robust to outliers:
    for normal noise this median is 0.954 standard deviations. An average with decay d multiplies
    the noise by sqrt((1 - d) / (1 + d)).
    """
    decay = _decay(steps)
    jump = float(np.median(np.abs(np.diff(losses))))
    return jump / 0.954 * math.sqrt((1 - decay) / (1 + decay))
