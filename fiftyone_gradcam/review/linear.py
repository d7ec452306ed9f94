"""Leave-one-out accuracy of a linear classifier on features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RIDGES = 10.0 ** np.arange(-3, 3.5, 0.5)  # multiples of the features' mean variance


@dataclass(frozen=True)
class LeaveOneOut:
    """Leave-one-out predictions of a ridge regression on classes.

    Attributes:
        accuracy: share of the images whose class has the largest value, in [0, 1]
        error: mean squared distance of the values from 1 for the own class and 0 for the others
        correct: (N,) bool
    """

    accuracy: float
    error: float
    correct: np.ndarray


def leave_one_out(features: np.ndarray, labels: np.ndarray) -> LeaveOneOut:
    """Evaluate features with a linear classifier, in closed form.

    Features are standardized. With H the hat matrix of a ridge regression with an intercept, and
    Y one column for each class, the value for an image without its own influence is
    y - (y - HY) / (1 - diag H) (Hastie, Tibshirani and Friedman, The Elements of Statistical
    Learning, equation 7.64). The ridge with the smallest error is used.

    Args:
        features: (N, C) finite
        labels: (N,) class indexes

    Returns:
        the result for the best ridge
    """
    classes, rows = np.unique(labels, return_inverse=True)
    wanted = np.eye(len(classes))[rows]
    values = features.astype(np.float64)
    values -= values.mean(0)
    deviation = values.std(0)
    values = values[:, deviation > 1e-9 * max(deviation.max(initial=0), 1e-30)]
    values /= values.std(0)
    count = len(labels)
    spectrum, vectors = np.linalg.eigh(values @ values.T)
    spectrum = spectrum.clip(min=0)
    best: LeaveOneOut | None = None
    for ridge in RIDGES * max(spectrum.mean(), 1e-30):
        shrunk = spectrum / (spectrum + ridge)
        hat = (vectors * shrunk) @ vectors.T + 1 / count  # the features have mean 0
        outside = wanted - (wanted - hat @ wanted) / (1 - np.diag(hat))[:, None].clip(1e-9)
        error = float(((outside - wanted) ** 2).sum(1).mean())
        if best is None or error < best.error:
            correct = outside.argmax(1) == rows
            best = LeaveOneOut(float(correct.mean()), error, correct)
    return best
