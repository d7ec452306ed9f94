"""Images that are unlike normal ones, learned from normal images alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.svm import OneClassSVM

from .label_issues import folds_of

FOLDS = 5
NU = 0.1  # share of normal images that may lie outside of what is learned
LEAST_NORMAL = 20  # images
MOST_LEARNED = 5000  # normal images of a fold; the time grows with their square


@dataclass(frozen=True)
class Anomalies:
    """How unlike the normal images N images are.

    Attributes:
        scores: (N,) high is unusual; 0 is the edge of what was learned
        shares: (N,) of the normal images that are at least as unusual, in (0, 1]: the rate of false
            alarms at which this image is just called an anomaly
        threshold: score above which an image is called an anomaly
        anomalous: (N,) bool
    """

    scores: np.ndarray
    shares: np.ndarray
    threshold: float
    anomalous: np.ndarray


def find_anomalies_in(features: np.ndarray, normal: np.ndarray, false_alarms: float) -> Anomalies:
    """Score images by a one-class SVM (Schölkopf et al., Neural Computation 2001).

    It is fitted to five parts of the normal images, each without a fifth: a normal image is scored
    by the one that has not seen it, any other by the mean of all.

    Args:
        features: (N, C) finite
        normal: (N,) bool, at least 20
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
    # How many normal images are at least as unusual; the image itself counts as one of them.
    above = len(usual) - np.searchsorted(usual, found, side="left")
    above = above + ~normal
    shares = above / (len(usual) + ~normal)
    alarms = int(false_alarms * len(usual) + 1e-9)
    threshold = float(usual[len(usual) - 1 - alarms])
    return Anomalies(found, shares, threshold, found > threshold)


def prepare(features: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """Features as they are compared: signed square roots, standardized by those of the images that
    are learned from, a unit apart where these are usually apart.

    Args:
        features: (N, C)
        learned: positions
    """
    roots = np.copysign(np.sqrt(np.abs(features)), features).astype(np.float32)
    mean, deviation = roots[learned].mean(0), roots[learned].std(0)
    deviation = np.maximum(deviation, 0.1 * max(float(deviation.mean()), 1e-12))
    standard = (roots - mean) / deviation
    return standard / np.sqrt(2 * np.square(standard[learned]).sum(1).mean())
