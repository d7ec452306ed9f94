"""Robust judgment of labels by all other images, repeated without those that are surely wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from .kernel import choose_strength, directions, left_out_scores, refit_scores, spectrum_of
from .scores import softmax

ROUNDS = 2
FLOOR = 1e-3  # lower bound of probabilities before two are averaged
MOST_LEFT_OUT = 0.5  # maximum share of the images of a class


@dataclass(frozen=True)
class Judgment:
    """Judgment of N labels of K classes by all other images.

    Attributes:
        first: (N, K) probabilities based on all other images
        robust: (N, K) probabilities based on the other images that are not left out
        left_out: (N,) bool, images whose labels are surely wrong (see `surely_wrong`)
    """

    first: np.ndarray
    robust: np.ndarray
    left_out: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """(N, K), the geometric mean of both probabilities."""
        return geometric_mean(self.first, self.robust)


def judge_labels(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    groups: Sequence[np.ndarray] = (),
) -> Judgment:
    """Judge each label by the features of the other images.

    Args:
        features: (N, C) finite
        labels: (N,) class indexes in [0, num_classes)
        num_classes: K
        groups: positions of near duplicates, which are not used to judge each other
    """
    targets = np.eye(num_classes)[labels]
    spectrum = spectrum_of(directions(features), labels)
    strength = choose_strength(spectrum, targets, groups)
    scores = left_out_scores(spectrum, targets, strength, groups)
    first = robust = softmax(sharpness(scores, labels) * scores)
    left_out = np.zeros(len(labels), bool)
    for _ in range(ROUNDS):
        left_out = surely_wrong(robust, labels)
        scores = refit_scores(spectrum, targets, strength, left_out, groups)
        robust = softmax(sharpness(scores[~left_out], labels[~left_out]) * scores)
    return Judgment(first, robust, surely_wrong(robust, labels))


def sharpness(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the beta for which softmax(beta S) maximizes the likelihood of the given labels.

    Args:
        scores: S (N, K)
        labels: (N,) class indexes
    """
    own = scores[np.arange(len(labels)), labels]

    def loss(logarithm: float) -> float:
        shifted = np.exp(logarithm) * (scores - own[:, None])
        most = shifted.max(1)
        return float((most + np.log(np.exp(shifted - most[:, None]).sum(1))).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 5.0), method="bounded").x))


def surely_wrong(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which labels are wrong according to confident learning.

    Northcutt, Jiang and Chuang, arXiv 1911.00068. Each class has its own threshold, so that rare
    classes do not lose most of their images.

    Args:
        probabilities: (N, K) for each image, estimated from other images
        labels: (N,) class indexes

    Returns:
        (N,) bool: the label's own probability is below the class's mean self-confidence, and the
        most probable of the classes that reach theirs is another; at most half of a class
    """
    count, num_classes = probabilities.shape
    own = probabilities[np.arange(count), labels]
    sizes = np.bincount(labels, minlength=num_classes)
    means = np.bincount(labels, own, num_classes) / np.maximum(sizes, 1)
    thresholds = np.where(sizes > 0, means, np.inf)
    reaching = np.where(probabilities >= thresholds, probabilities, -1.0)
    best = reaching.argmax(1)
    wrong = (own < thresholds[labels]) & (reaching.max(1) >= 0)  # by another class than its own
    for label in range(num_classes):
        members = np.flatnonzero(wrong & (labels == label))
        most = int(MOST_LEFT_OUT * sizes[label])
        lead = own[members] - probabilities[members, best[members]]
        wrong[members[np.argsort(lead, kind="stable")[most:]]] = False
    return wrong


def geometric_mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the geometric mean of probabilities (N, K), with a lower bound; rows sum to 1."""
    logs = (np.log(np.maximum(one, FLOOR)) + np.log(np.maximum(other, FLOOR))) / 2
    return softmax(logs)
