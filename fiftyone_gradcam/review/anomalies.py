"""Anomalies: images that differ from normal ones, learned from normal images only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.svm import OneClassSVM

from .label_issues import folds_of

FOLDS = 5
NU = 0.1  # share of normal images that may lie outside of the learned region
LEAST_NORMAL = 20  # minimum number of normal images
MOST_LEARNED = 5000  # maximum number of normal images in a fold; time grows with its square


@dataclass(frozen=True)
class Anomalies:
    """Anomaly scores of N images.

    Attributes:
        scores: (N,) high is unusual; 0 is the boundary of the learned region
        shares: (N,) share of the normal images that are at least as unusual, in (0, 1]: the lowest
            rate of false alarms at which this image is still called an anomaly
        threshold: score above which an image is called an anomaly
        anomalous: (N,) bool
    """

    scores: np.ndarray
    shares: np.ndarray
    threshold: float
    anomalous: np.ndarray


def find_anomalies_in(features: np.ndarray, normal: np.ndarray, false_alarms: float) -> Anomalies:
    """Score images with a one-class SVM (Schölkopf et al., Neural Computation 2001).

    Five models are fitted, each without a fifth of the normal images. A normal image is scored by
    the model that was fitted without it, any other image by the mean of all models.

    Args:
        features: (N, C) finite
        normal: (N,) bool, with at least 20 normal images
        false_alarms: share of normal images that are called anomalies, in (0, 1)
    """
    members = np.flatnonzero(normal)
    fold = folds_of(np.zeros(len(members), np.int64), FOLDS)
    scores = np.zeros((FOLDS, len(features)))
    for number in range(FOLDS):
        learned = members[fold != number]
        learned = learned[:: -(-len(learned) // MOST_LEARNED)]
        prepared = prepare(features, learned)
        model = OneClassSVM(gamma=1.0, nu=NU).fit(prepared[learned])
        scores[number] = -model.decision_function(prepared) / max(float(model.offset_[0]), 1e-12)
    found = scores.mean(0)
    found[members] = scores[fold, members]
    usual = np.sort(found[members])
    # Number of normal images that are at least as unusual, including the image itself.
    above = len(usual) - np.searchsorted(usual, found, side="left")
    above = above + ~normal
    shares = above / (len(usual) + ~normal)
    alarms = int(false_alarms * len(usual) + 1e-9)
    threshold = float(usual[len(usual) - 1 - alarms])
    return Anomalies(found, shares, threshold, found > threshold)


def prepare(features: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """Return features for comparison: signed square roots, standardized by those of `learned`.

    They are scaled such that the root mean square distance of two learned images is 1, unless all
    are the same.

    Args:
        features: (N, C)
        learned: positions of the images that are learned from
    """
    roots = np.copysign(np.sqrt(np.abs(features)), features).astype(np.float32)
    mean, deviation = roots[learned].mean(0), roots[learned].std(0)
    deviation = np.maximum(deviation, 0.1 * max(float(deviation.mean()), 1e-12))
    standard = (roots - mean) / deviation
    distance = np.sqrt(2 * np.square(standard[learned]).sum(1).mean())
    return standard / (distance or 1)  # 0 if all are the same image
