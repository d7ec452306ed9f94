"""Numbers derived from a training, on which a diagnosis is based."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from scipy.special import digamma
from scipy.stats import binomtest

from .history import Epoch, Trained
from .optimization import class_weights
from .recipe import Recipe

CHANCE, SURE = 0.05, 0.01  # significance levels of findings


@dataclass(frozen=True)
class Finding:
    """A problem found in a training.

    Attributes:
        name: the kind of problem, such as "collapsed" or "leak"
        severity: "error" (the run is unusable, or its accuracy misleading) or "warning"
        message: what was observed, the probable reason, and the remedy
    """

    name: str
    severity: str
    message: str

    def to_dict(self) -> dict:
        """Return a JSON-ready dictionary."""
        return asdict(self)


@dataclass(frozen=True)
class Evidence:
    """A training and numbers derived from it.

    Attributes:
        recipe: the settings
        classes: names of the K classes
        trained: the result
        train_labels: (n,) class indexes of the training images
        truth: (m,) class indexes of the validation images, aligned with `trained.val_predicted`
    """

    recipe: Recipe
    classes: Sequence[str]
    trained: Trained
    train_labels: np.ndarray
    truth: np.ndarray

    @cached_property
    def counts(self) -> np.ndarray:
        """(K,) number of training images of each class."""
        counts = np.bincount(self.train_labels, minlength=len(self.classes))
        cap = self.recipe.images_per_class
        return counts if cap is None else np.minimum(counts, cap)

    @cached_property
    def shares(self) -> np.ndarray:
        """(K,) share of each class among the training images."""
        return self.counts / max(self.counts.sum(), 1)

    @property
    def last(self) -> Epoch | None:
        """The last epoch; None if the training stopped during the first one."""
        return self.trained.history[-1] if self.trained.history else None

    @cached_property
    def yardstick(self) -> tuple[float, float]:
        """Training losses of guessing and of perfect knowledge (see `guessing_and_knowing`)."""
        return guessing_and_knowing(self.recipe, self.counts)

    @cached_property
    def learned(self) -> float:
        """Training loss on a scale from guessing (0) to perfect knowledge (1); may be negative."""
        guessing, knowing = self.yardstick
        last = guessing if self.last is None else self.last.train_loss
        return (guessing - last) / max(guessing - knowing, 1e-9)

    @cached_property
    def predicted(self) -> np.ndarray:
        """(K,) number of validation images predicted as each class."""
        return np.bincount(self.trained.val_predicted, minlength=len(self.classes))

    @cached_property
    def val_counts(self) -> np.ndarray:
        """(K,) number of validation images of each class."""
        return np.bincount(self.truth, minlength=len(self.classes))

    @cached_property
    def right(self) -> int:
        """Number of correctly predicted validation images."""
        return int((self.trained.val_predicted == self.truth).sum())

    def beats_majority(self, level: float) -> bool:
        """Return whether the accuracy is significantly above that of always guessing one class.

        Uses the validation images, or the training images if there are none.
        """
        if len(self.truth):
            return exceeds(self.right, len(self.truth), self.val_counts.max(), level)
        if self.last is None:
            return False
        total, largest = int(self.counts.sum()), float(self.shares.max())
        if self.recipe.class_balance == "sampling":
            largest = 1 / np.count_nonzero(self.counts)
        return exceeds(round(self.last.train_accuracy * total), total, total * largest, level)

    @property
    def is_usable(self) -> bool:
        """Whether the kept weights are surely better than guessing on the validation images."""
        return len(self.truth) > 0 and self.beats_majority(SURE)

    @property
    def lower_rate(self) -> str:
        """The remedy for steps that are too large."""
        rate = self.recipe.learning_rate
        return f"Lower learning_rate tenfold, from {rate:g} to {rate / 10:g}"

    @property
    def has_random_frozen_part(self) -> bool:
        """Whether the frozen part of the network has random weights."""
        return self.recipe.from_scratch and self.recipe.freeze not in ("none", 0)


def exceeds(right: int, total: int, expected: float, level: float) -> bool:
    """Return whether `right` of `total` are significantly more than `expected`.

    Uses a one-sided binomial test at significance level `level`.
    """
    return bool(binomtest(right, total, min(expected / total, 1.0), "greater").pvalue < level)


def loss_words(loss: float) -> str:
    """Format a loss."""
    return f"{loss:.2f}" if loss < 1e4 else f"{loss:.1e}"


def guessing_and_knowing(recipe: Recipe, counts: np.ndarray) -> tuple[float, float]:
    """Return the training losses of guessing by class frequencies, and of perfect knowledge.

    In general these are the entropy of the class frequencies, and 0. With class balance, classes
    count equally. Smoothed labels cannot be predicted without loss. Neither can mixed images: their
    shares, drawn from Beta(a, a), have a mean entropy of digamma(2a + 1) - digamma(a + 1) nats.

    Args:
        recipe: its class_balance, label_smoothing and mixup are used
        counts: (K,) training images of each class

    Returns:
        two losses, in nats
    """
    shares, weights = counts / counts.sum(), np.ones(len(counts))
    if recipe.class_balance == "sampling":
        shares = (counts > 0) / np.count_nonzero(counts)
    elif recipe.class_balance == "weights":
        labels = np.repeat(np.arange(len(counts)), counts)
        weights = class_weights(labels, len(counts)).astype(np.float64)
    kept, spread = 1 - recipe.label_smoothing, recipe.label_smoothing * weights / len(counts)
    guessing = _best_loss(kept * weights * shares + spread)
    each = [_best_loss(target) for target in np.diag(kept * weights) + spread]
    knowing = float(shares @ each)
    mixed = float(digamma(2 * recipe.mixup + 1) - digamma(recipe.mixup + 1))  # 0 without mixup
    return guessing, knowing + kept * mixed * (1 - float(shares @ shares))


def _best_loss(target: np.ndarray) -> float:
    """Return the lowest cross-entropy of a single prediction for a target (K,) with any sum."""
    target = target[target > 0]
    return float(-(target * np.log(target / target.sum())).sum())
