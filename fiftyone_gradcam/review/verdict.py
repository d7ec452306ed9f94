"""Verdict on labels: their quality, suggested labels, and how many are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .label_issues import LabelIssues, label_issues
from .noise import WrongLabels, estimate_wrong
from .robust import judge_labels, surely_wrong

LIKELY = 0.5  # probability that a label is wrong


@dataclass(frozen=True)
class Verdict:
    """Verdict on N labels of K classes.

    Attributes:
        probabilities: (N, K) class probabilities of each image, estimated without the image itself
        issues: quality and suggestions
        estimate: how many labels are wrong
        wrong: (N,) bool, labels that can be corrected in bulk, because they are wrong according to
            both confident learning and the noise matrix
    """

    probabilities: np.ndarray
    issues: LabelIssues
    estimate: WrongLabels
    wrong: np.ndarray


def verdict_by_features(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    groups: Sequence[np.ndarray] = (),
) -> Verdict:
    """Judge labels by the features of the other images (see `robust.judge_labels`)."""
    judgment = judge_labels(features, labels, num_classes, groups)
    return _verdict(judgment.probabilities, judgment.robust, labels)


def verdict_by_probabilities(probabilities: np.ndarray, labels: np.ndarray) -> Verdict:
    """Judge labels by out-of-fold probabilities (N, K)."""
    return _verdict(probabilities, probabilities, labels)


def _verdict(probabilities: np.ndarray, robust: np.ndarray, labels: np.ndarray) -> Verdict:
    issues = label_issues(probabilities, labels)
    estimate = estimate_wrong(robust, labels)
    wrong = surely_wrong(robust, labels) & (estimate.chances >= LIKELY) & issues.issues
    return Verdict(probabilities, issues, estimate, wrong)
