"""Whether probabilities can be believed: reliability, expected calibration error, temperature.

C. Guo et al., On calibration of modern neural networks, ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 10
LEAST = 1e-12  # a probability of 0 has no logarithm
RANGE = (0.05, 20.0)  # of temperatures
STEPS = 100  # of the search: the golden section brings the interval to 1e-20 of its length
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Bin:
    """Samples whose confidence is alike.

    Attributes:
        low, high: the confidences, in (low, high]
        count: number of samples
        confidence: mean confidence; None of none
        accuracy: share that is right; None of none
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[Bin]:
    """How often predictions of which confidence are right.

    Args:
        confidence: (N,) of the predicted class, in [0, 1]
        right: (N,) bool
        bins: of equal width
    """
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    sums = [np.bincount(place, x, bins) for x in (np.ones(len(place)), confidence, right)]
    return bins_of(*sums)


def bins_of(counts: np.ndarray, confidences: np.ndarray, right: np.ndarray) -> list[Bin]:
    """Bins by what is in each: numbers of samples, sums of confidences, numbers that are right."""
    found = []
    rows = zip(counts, confidences, right, strict=True)
    for number, (count, confidence, hits) in enumerate(rows):
        means = (float(confidence / count), float(hits / count)) if count else (None, None)
        low, high = number / len(counts), (number + 1) / len(counts)
        found.append(Bin(low, high, int(count), *means))
    return found


def expected_calibration_error(found: list[Bin]) -> float:
    """Mean distance of confidence and accuracy, each bin by its number of samples."""
    total = sum(one.count for one in found)
    gaps = [one.count * abs(one.confidence - one.accuracy) for one in found if one.count]
    return sum(gaps) / total


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (N, K) as they are with all logits divided by a temperature."""
    logs = np.log(np.maximum(probabilities, LEAST)) / temperature
    powers = np.exp(logs - logs.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which the labels are most likely.

    Args:
        probabilities: (N, K)
        labels: (N,) class indexes

    Returns:
        a number in [0.05, 20]; over 1 where the network is too sure of itself
    """
    logs = np.log(np.maximum(probabilities, LEAST))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = logs / np.exp(log_temperature)
        most = scaled.max(1)
        total = most + np.log(np.exp(scaled - most[:, None]).sum(1))
        return float((total - scaled[rows, labels]).mean())

    low, high = np.log(RANGE)  # the loss is convex in 1 / temperature: it has one minimum
    for _ in range(STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def top_k(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of samples whose label is among the k most probable classes.

    Args:
        probabilities: (N, K)
        labels: (N,) class indexes; -1 for a class that is not among the K, which is never right
        k: at least 1
    """
    k = min(k, probabilities.shape[1])
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(1).mean())
