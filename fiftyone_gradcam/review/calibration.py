"""Calibration of probabilities: reliability, expected calibration error, and temperature.

C. Guo et al., On calibration of modern neural networks, ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 10
LEAST = 1e-12  # lower bound, because 0 has no logarithm
RANGE = (0.05, 20.0)  # range of temperatures
STEPS = 100  # of the golden-section search, which reduce the interval to 1e-20 of its length
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Bin:
    """Samples with similar confidence.

    Attributes:
        low, high: the confidences are in (low, high]
        count: number of samples
        confidence: mean confidence; None if there are no samples
        accuracy: share of correct predictions; None if there are no samples
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Return the accuracy of predictions by confidence.

    Args:
        confidence: (N,) of the predicted class, in [0, 1]
        right: (N,) bool
        bins: number of bins of equal width
    """
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    sums = [np.bincount(place, x, bins) for x in (np.ones(len(place)), confidence, right)]
    return bins_of(*sums)


def bins_of(counts: np.ndarray, confidences: np.ndarray, right: np.ndarray) -> list[Bin]:
    """Build bins from numbers of samples, sums of confidences, and numbers of correct ones."""
    found = []
    rows = zip(counts, confidences, right, strict=True)
    for number, (count, confidence, hits) in enumerate(rows):
        means = (float(confidence / count), float(hits / count)) if count else (None, None)
        low, high = number / len(counts), (number + 1) / len(counts)
        found.append(Bin(low, high, int(count), *means))
    return found


def expected_calibration_error(found: list[Bin]) -> float:
    """Return the mean difference of confidence and accuracy, weighted by number of samples."""
    total = sum(one.count for one in found)
    gaps = [one.count * abs(one.confidence - one.accuracy) for one in found if one.count]
    return sum(gaps) / total


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities (N, K) that result from dividing all logits by a temperature."""
    logs = np.log(np.maximum(probabilities, LEAST)) / temperature
    powers = np.exp(logs - logs.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that maximizes the likelihood of the labels.

    Args:
        probabilities: (N, K)
        labels: (N,) class indexes

    Returns:
        a number in [0.05, 20]; above 1 if the network is overconfident
    """
    logs = np.log(np.maximum(probabilities, LEAST))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = logs / np.exp(log_temperature)
        most = scaled.max(1)
        total = most + np.log(np.exp(scaled - most[:, None]).sum(1))
        return float((total - scaled[rows, labels]).mean())

    low, high = np.log(RANGE)  # the loss is convex in 1 / temperature, so it has one minimum
    for _ in range(STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def top_k(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Return the share of samples whose label is among the k most probable classes.

    Args:
        probabilities: (N, K)
        labels: (N,) class indexes; -1 for a class that is not among the K, which is never correct
        k: at least 1
    """
    k = min(k, probabilities.shape[1])
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(1).mean())
