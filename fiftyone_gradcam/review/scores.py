"""Scores of predictions, computed from logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return class probabilities (N, K) of logits (N, K); finite for finite logits of any size."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(1, keepdims=True)


@dataclass(frozen=True)
class Scores:
    """Predictions of a classifier for N images.

    Attributes:
        probabilities: (N, K), rows sum to 1
        predicted: (N,) index of the most probable class
        confidence: (N,) its probability, in (0, 1]
        margin: (N,) confidence minus the probability of the runner-up, in [0, 1]
        entropy: (N,) in nats, in [0, log K]
        label_score: (N,) probability of the image's label, NaN if it has none
    """

    probabilities: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    margin: np.ndarray
    entropy: np.ndarray
    label_score: np.ndarray


def scores(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Compute the scores of predictions.

    Args:
        logits: (N, K) with K at least 2
        labels: (N,) class index of each label, -1 if it is none of the K classes
    """
    probabilities = softmax(logits)
    rows = np.arange(len(logits))
    predicted = logits.argmax(1)
    confidence = probabilities[rows, predicted]
    top_two = np.partition(probabilities, -2, axis=1)[:, -2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(probabilities > 0, probabilities * np.log(probabilities), 0.0)
    own = np.where(labels >= 0, probabilities[rows, labels], np.nan)
    return Scores(
        probabilities,
        predicted,
        confidence,
        top_two[:, 1] - top_two[:, 0],
        np.maximum(-terms.sum(1), 0.0),
        own,
    )
