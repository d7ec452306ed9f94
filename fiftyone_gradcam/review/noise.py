"""How many labels are wrong: a matrix of label noise, fitted to what other images say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from .scores import softmax

ROUNDS = 30
LEAST = 1e-6  # of a probability
PRIOR = 10.0  # images of each class that are taken to be as all are
NOISES = np.concatenate([[0.0], np.geomspace(1e-4, 0.6, 60)])
DROP = 1.92  # of the log likelihood, at the ends of a 95% interval
Z95 = 1.96


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
    count, num_classes = probabilities.shape
    logs = np.log(np.maximum(probabilities, LEAST))
    given = np.eye(num_classes)[labels]
    noise, sharp = 0.1, 1.0
    shares = _uniform(num_classes)
    for _ in range(ROUNDS):
        matrix = _matrix(noise, shares)
        sharp = _sharpness(logs, labels, matrix)
        posterior = _posterior(softmax(sharp * logs), labels, matrix)
        counts = posterior.T @ given
        wrong = counts * (1 - np.eye(num_classes))
        noise = wrong.sum() / count
        prior = PRIOR * max(noise, 1e-3) * _uniform(num_classes)
        shares = wrong + prior
        sizes = np.maximum(counts.sum(1, keepdims=True), LEAST)
        rates = (wrong + prior).sum(1, keepdims=True) / (sizes + PRIOR)
        shares = shares / np.maximum(shares.sum(1, keepdims=True), LEAST)
        shares = shares * (rates / max(noise, 1e-3))  # relative to the overall rate
    likelihoods, numbers, spreads = [], [], []
    for value in NOISES:
        matrix = _matrix(value, shares)
        sharp = _sharpness(logs, labels, matrix)
        model = softmax(sharp * logs)
        own = _likelihood(model, labels, matrix)
        chance = 1 - _posterior(model, labels, matrix)[np.arange(count), labels]
        likelihoods.append(np.log(np.maximum(own, 1e-300)).sum())
        numbers.append(chance.sum())
        spreads.append(np.sqrt((chance * (1 - chance)).sum()))
    likelihoods, numbers, spreads = map(np.array, (likelihoods, numbers, spreads))
    best = int(likelihoods.argmax())
    inside = likelihoods >= likelihoods[best] - DROP
    low = float(np.maximum(numbers - Z95 * spreads, 0)[inside].min())
    high = float((numbers + Z95 * spreads)[inside].max())
    matrix = _matrix(NOISES[best], shares)
    model = softmax(_sharpness(logs, labels, matrix) * logs)
    posterior = _posterior(model, labels, matrix)
    pairs = posterior.T @ given
    np.fill_diagonal(pairs, 0.0)
    chances = 1 - posterior[np.arange(count), labels]
    return WrongLabels(float(chances.sum()), low, high, pairs, chances)


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
    return joint / np.maximum(joint.sum(1, keepdims=True), 1e-300)


def _sharpness(logs: np.ndarray, labels: np.ndarray, matrix: np.ndarray) -> float:
    def loss(logarithm: float) -> float:
        own = _likelihood(softmax(np.exp(logarithm) * logs), labels, matrix)
        return -float(np.log(np.maximum(own, 1e-300)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))
