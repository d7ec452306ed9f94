"""Estimate of the number of wrong labels, by fitting a label noise matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from .confusion import Z95, wilson_interval
from .scores import softmax

ROUNDS = 30
LEAST = 1e-6  # lower bound of probabilities
PRIOR = 10.0  # pseudo-count: images of each class that follow the overall noise
NOISES = np.concatenate([[0.0], np.geomspace(1e-4, 0.6, 40)])
DROP = 1.92  # drop of the log likelihood at the ends of a 95% confidence interval
FIRST_NOISE, LEAST_NOISE = 0.1, 1e-3  # initial and minimum share of wrong labels
MOST_ASKED = 10_000  # maximum number of images used to fit the sharpness
NEVER = 1e-300  # lower bound that keeps logarithms finite
MOST_CONFIDENT = 0.15  # share of all images
CONFIDENT = 0.25  # share of the images of each predicted class


@dataclass(frozen=True)
class WrongLabels:
    """Estimate of how many of N labels are wrong.

    Attributes:
        count: estimated number
        low, high: 95% confidence interval of the number
        pairs: (K, K) estimated numbers of images of class k (row) with label j (column); 0 on the
            diagonal
        chances: (N,) probability that each label is wrong, in [0, 1]
    """

    count: float
    low: float
    high: float
    pairs: np.ndarray
    chances: np.ndarray


def estimate_wrong(probabilities: np.ndarray, labels: np.ndarray) -> WrongLabels:
    """Estimate how many labels are wrong, overall and for each pair of classes.

    An image of class k gets label j with probability T[k, j]. T and the sharpness of the
    probabilities are fitted by maximum likelihood of the given labels (expectation maximization):
    similar classes make the probabilities less sharp, and labels that contradict sharp ones are
    wrong.

    Where classes are hard to distinguish, this confuses errors of the model with wrong labels. The
    labels of the most confidently predicted images limit it: no image is predicted from its own
    label, so the share of these labels that differ from the prediction is the share of wrong
    labels, plus the few errors of the model among them.

    Args:
        probabilities: (N, K) for each image, from a model that was fitted without its label
        labels: (N,) class indexes
    """
    logs = np.log(np.maximum(probabilities, LEAST))
    shares = _shares(logs, labels)
    fits = [_fit(logs, labels, noise, shares) for noise in NOISES]
    likelihoods = np.array([fit.likelihood for fit in fits])
    best = fits[int(likelihoods.argmax())]
    inside = [fit for fit in fits if fit.likelihood >= best.likelihood - DROP]
    # With clear-cut data, the fit underestimates the uncertainty; that of a count is a lower bound.
    count = float(best.chances.sum())
    least = math.sqrt(count) + 1
    low = min(count - least, *(fit.number - Z95 * fit.spread for fit in inside))
    high = max(count + least, *(fit.number + Z95 * fit.spread for fit in inside))
    limit = _limit(logs, labels)
    if not limit.least <= count <= limit.high:
        best = _fit_of_number(logs, labels, limit.count, shares)
        count, low, high = float(best.chances.sum()), limit.low, limit.high
    elif not limit.least_overall <= count <= limit.high_overall:  # it agrees with one of two
        best = _fit_of_number(logs, labels, (count + limit.count) / 2, shares)
        count = float(best.chances.sum())
        low, high = min(low, limit.low), max(high, limit.high)
    pairs = best.posterior.T @ np.eye(probabilities.shape[1])[labels]
    np.fill_diagonal(pairs, 0.0)
    return WrongLabels(count, max(low, 0.0), min(high, len(labels)), pairs, best.chances)


@dataclass(frozen=True)
class _Limit:
    """How many of all labels are wrong, if the share is that of confidently predicted images.

    Attributes:
        count: estimated number
        low, high: 95% confidence interval of the number
        least: numbers from `least` to `high` agree with the images of each class
        least_overall, high_overall: the same for the images of all classes together
    """

    count: float
    low: float
    high: float
    least: float
    least_overall: float
    high_overall: float


def _limit(logs: np.ndarray, labels: np.ndarray) -> _Limit:
    """Return the limit that the labels of confidently predicted images set.

    The most confident images of each predicted class notice wrong labels that are in some classes
    only, but those of hard classes contain errors of the model. The most confident of all images
    contain few of these. The upper bound is that of the former, the estimate that of the latter,
    unless it contradicts the former.
    """
    ordered = np.sort(logs, 1)
    margins, predicted = ordered[:, -1] - ordered[:, -2], logs.argmax(1)
    differs = predicted != labels
    overall = margins >= np.quantile(margins, 1 - MOST_CONFIDENT)
    of_class = np.zeros(len(labels), bool)
    for members in (np.flatnonzero(predicted == k) for k in np.unique(predicted)):
        least = np.quantile(margins[members], 1 - CONFIDENT)
        of_class[members[margins[members] >= least]] = True
    lows, highs = [], []
    for chosen in (overall, of_class):
        low, high = wilson_interval(int(differs[chosen].sum()), int(chosen.sum()))
        lows.append(low * len(labels))
        highs.append(high * len(labels))
    count = max(float(differs[overall].mean()) * len(labels), lows[1])
    return _Limit(min(count, highs[1]), min(lows), highs[1], lows[1], lows[0], highs[0])


def _fit_of_number(logs: np.ndarray, labels: np.ndarray, count: float, shares: np.ndarray) -> _Fit:
    """Return the fit whose number of wrong labels is `count`.

    Args:
        logs: (N, K) logarithms of the probabilities
        labels: (N,) class indexes
        count: the number; the nearest one that a share of wrong labels in `NOISES` can give
        shares: see `_shares`
    """

    def excess(noise: float) -> float:
        return _fit(logs, labels, noise, shares).number - count

    most = float(NOISES[-1])
    if excess(most) <= 0:
        return _fit(logs, labels, most, shares)
    noise = 0.0 if excess(0.0) >= 0 else brentq(excess, 0.0, most, xtol=1e-5)
    return _fit(logs, labels, noise, shares)


@dataclass(frozen=True)
class _Fit:
    """The likelihood of a share of wrong labels, and derived quantities."""

    likelihood: float
    posterior: np.ndarray
    chances: np.ndarray

    @property
    def number(self) -> float:
        return float(self.chances.sum())

    @property
    def spread(self) -> float:
        return math.sqrt(float((self.chances * (1 - self.chances)).sum()))


def _fit(logs: np.ndarray, labels: np.ndarray, noise: float, shares: np.ndarray) -> _Fit:
    matrix = _matrix(noise, shares)
    model = softmax(_sharpness(logs, labels, matrix) * logs)
    own = _likelihood(model, labels, matrix)
    posterior = _posterior(model, labels, matrix)
    chances = 1 - posterior[np.arange(len(labels)), labels]
    return _Fit(float(np.log(np.maximum(own, NEVER)).sum()), posterior, chances)


def _shares(logs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how wrong labels are distributed over pairs of classes (K, K).

    Entries are multiples of the overall share of wrong labels; for classes with few images, they
    are close to the overall distribution.
    """
    count, num_classes = logs.shape
    given, uniform = np.eye(num_classes)[labels], _uniform(num_classes)
    noise, shares = FIRST_NOISE, uniform
    for _ in range(ROUNDS):
        matrix = _matrix(noise, shares)
        posterior = _posterior(softmax(_sharpness(logs, labels, matrix) * logs), labels, matrix)
        counts = posterior.T @ given
        wrong = counts * (1 - np.eye(num_classes))
        noise = max(float(wrong.sum() / count), LEAST_NOISE)
        shares = (wrong + PRIOR * noise * uniform) / noise
        shares /= counts.sum(1, keepdims=True) + PRIOR
    return shares


def _uniform(num_classes: int) -> np.ndarray:
    """Return shares (K, K) of wrong labels that are equal for all other classes."""
    return (1 - np.eye(num_classes)) / (num_classes - 1)


def _matrix(noise: float, shares: np.ndarray) -> np.ndarray:
    """Return T (K, K): the probabilities of labels (columns) for images of a class (rows)."""
    wrong = noise * shares
    wrong = wrong * np.minimum(1.0, 0.9 / np.maximum(wrong.sum(1, keepdims=True), LEAST))
    return wrong + np.diag(1 - wrong.sum(1))


def _likelihood(model: np.ndarray, labels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (model * matrix.T[labels]).sum(1)


def _posterior(model: np.ndarray, labels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return class probabilities (N, K) of each image, given its label as well."""
    joint = model * matrix.T[labels]
    return joint / np.maximum(joint.sum(1, keepdims=True), NEVER)


def _sharpness(logs: np.ndarray, labels: np.ndarray, matrix: np.ndarray) -> float:
    step = -(-len(labels) // MOST_ASKED)  # some thousand images determine one number well
    logs, labels = logs[::step], labels[::step]

    def loss(logarithm: float) -> float:
        own = _likelihood(softmax(np.exp(logarithm) * logs), labels, matrix)
        return -float(np.log(np.maximum(own, NEVER)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))
