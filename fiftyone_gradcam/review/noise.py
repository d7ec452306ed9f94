"""How many labels are wrong: a matrix of label noise, fitted to what other images say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from .confusion import Z95
from .scores import softmax

ROUNDS = 30
LEAST = 1e-6  # of a probability
PRIOR = 10.0  # images of each class that are taken to be as all are
NOISES = np.concatenate([[0.0], np.geomspace(1e-4, 0.6, 40)])
DROP = 1.92  # of the log likelihood, at the ends of a 95% interval
FIRST_NOISE, LEAST_NOISE = 0.1, 1e-3  # shares of wrong labels
MOST_ASKED = 10_000  # images
NEVER = 1e-300  # so that logarithms stay finite


@dataclass(frozen=True)
class WrongLabels:
    """How many of N labels are wrong.

    Attributes:
        count: estimated number
        low, high: 95% interval of the number
        pairs: (K, K) estimated numbers of images with label j (column) whose class is k (row); 0 on
            the diagonal
        chances: (N,) of each label to be wrong, in [0, 1]
    """

    count: float
    low: float
    high: float
    pairs: np.ndarray
    chances: np.ndarray


def estimate_wrong(probabilities: np.ndarray, labels: np.ndarray) -> WrongLabels:
    """Estimate how many labels are wrong, overall and for each pair of classes.

    A label j of class k is given with probability T[k, j]. T, and how sure the probabilities are to
    be taken, make the given labels most likely (expectation maximization): classes that look alike
    make probabilities less sure, wrong labels are those against sure ones.

    Args:
        probabilities: (N, K) of each image, by a model that never saw its label
        labels: (N,) class indexes
    """
    logs = np.log(np.maximum(probabilities, LEAST))
    shares = _shares(logs, labels)
    fits = [_fit(logs, labels, noise, shares) for noise in NOISES]
    likelihoods = np.array([fit.likelihood for fit in fits])
    best = fits[int(likelihoods.argmax())]
    inside = [fit for fit in fits if fit.likelihood >= best.likelihood - DROP]
    # Fits to clear-cut data say nothing of what no such model can know: a floor, as of a count.
    count = float(best.chances.sum())
    least = math.sqrt(count) + 1
    low = min(count - least, *(fit.number - Z95 * fit.spread for fit in inside))
    high = max(count + least, *(fit.number + Z95 * fit.spread for fit in inside))
    pairs = best.posterior.T @ np.eye(probabilities.shape[1])[labels]
    np.fill_diagonal(pairs, 0.0)
    return WrongLabels(count, max(low, 0.0), min(high, len(labels)), pairs, best.chances)


@dataclass(frozen=True)
class _Fit:
    """The likelihood of a share of wrong labels, and what follows from it."""

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
    """How wrong labels are spread over pairs of classes (K, K), as multiples of the overall share
    of wrong labels; of classes with few images as it is overall."""
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
    """Shares (K, K) of wrong labels: each other class the same."""
    return (1 - np.eye(num_classes)) / (num_classes - 1)


def _matrix(noise: float, shares: np.ndarray) -> np.ndarray:
    """T (K, K): labels (columns) that images of a class (rows) get."""
    wrong = noise * shares
    wrong = wrong * np.minimum(1.0, 0.9 / np.maximum(wrong.sum(1, keepdims=True), LEAST))
    return wrong + np.diag(1 - wrong.sum(1))


def _likelihood(model: np.ndarray, labels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (model * matrix.T[labels]).sum(1)


def _posterior(model: np.ndarray, labels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(N, K) of the class of each image, given its label too."""
    joint = model * matrix.T[labels]
    return joint / np.maximum(joint.sum(1, keepdims=True), NEVER)


def _sharpness(logs: np.ndarray, labels: np.ndarray, matrix: np.ndarray) -> float:
    step = -(-len(labels) // MOST_ASKED)  # one number is known well from some thousand images
    logs, labels = logs[::step], labels[::step]

    def loss(logarithm: float) -> float:
        own = _likelihood(softmax(np.exp(logarithm) * logs), labels, matrix)
        return -float(np.log(np.maximum(own, NEVER)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))
