"""Label issues from out-of-fold probabilities: no model judges an image it was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

REGULARISATION = 0.01


@dataclass(frozen=True)
class LabelIssues:
    """Out-of-fold judgment of N labels.

    Attributes:
        quality: (N,) out-of-fold probability of the given label, in [0, 1]; low is suspicious
            (self-confidence: Northcutt, Jiang and Chuang, arXiv 1911.00068; Kuan and Mueller,
            "Model-agnostic label quality scoring", 2022)
        suggested: (N,) index of the most probable class
        suggested_score: (N,) its probability
        issues: (N,) bool, whether the most probable class differs from the given one
    """

    quality: np.ndarray
    suggested: np.ndarray
    suggested_score: np.ndarray
    issues: np.ndarray


def check_folds(folds: int) -> None:
    """Raise a ValueError unless `folds` is a whole number of at least 2."""
    if not isinstance(folds, int) or folds < 2:
        raise ValueError(f"folds must be a whole number of at least 2, not {folds!r}")


def folds_of(
    labels: np.ndarray, folds: int, seed: int = 0, groups: np.ndarray | None = None
) -> np.ndarray:
    """Assign images to stratified folds.

    Args:
        labels: (N,) class indexes
        folds: requested number, at least 2; limited to the number of images of the largest class
        seed: random seed
        groups: (N,) equal for near duplicates, which are kept in one fold; None if there are none

    Returns:
        (N,) fold of each image. A class of two or more images is never in a single fold, so that
        each of its images is judged by a model that knows the class.
    """
    check_folds(folds)
    if groups is not None:
        _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
        return folds_of(labels[first], folds, seed)[inverse]
    folds = min(folds, int(np.bincount(labels).max()))
    if folds < 2:
        raise ValueError("No class has two images: labels cannot be compared with others")
    return _stratified(labels, folds, seed)


def _stratified(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the folds (N,) of scikit-learn's shuffled `StratifiedKFold`.

    That class warns about classes smaller than the number of folds, which are common here, and
    Python can only silence a warning for all threads at once.
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    own = np.argsort(np.argsort(first))[inverse]  # number classes in order of appearance
    assigned = np.sort(own)
    counts = [np.bincount(assigned[fold::folds], minlength=len(first)) for fold in range(folds)]
    random, result = np.random.RandomState(seed), np.empty(len(labels), np.int64)
    for number, shares in enumerate(np.transpose(counts)):
        blocks = np.repeat(np.arange(folds), shares)
        random.shuffle(blocks)
        result[own == number] = blocks
    return result


def out_of_fold_probabilities(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    folds: int = 5,
    seed: int = 0,
    on_step: Callable[[int, int], None] = lambda done, total: None,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Return class probabilities of each image from a model fitted without its fold.

    The model is a logistic regression (C = 0.01) on standardized features, which ranks labels best
    on features of frozen networks.

    Args:
        features: (N, D) finite
        labels: (N,) class indexes in [0, num_classes), each class at least twice
        num_classes: K
        folds, seed, groups: see `folds_of`
        on_step: called with the number of folds done, and of all folds

    Returns:
        (N, K), rows sum to 1
    """
    probabilities = np.zeros((len(labels), num_classes))
    fold = folds_of(labels, folds, seed, groups)
    total = int(fold.max()) + 1
    for number in range(total):
        held_out = fold == number
        model = make_pipeline(StandardScaler(), LogisticRegression(C=REGULARISATION, max_iter=1000))
        model.fit(features[~held_out], labels[~held_out])
        found = model.predict_proba(features[held_out])
        probabilities[np.ix_(held_out, model.classes_)] = found
        on_step(number + 1, total)
    return probabilities


def label_issues(probabilities: np.ndarray, labels: np.ndarray) -> LabelIssues:
    """Judge given labels by out-of-fold probabilities.

    Args:
        probabilities: (N, K)
        labels: (N,) class indexes in [0, K)
    """
    rows = np.arange(len(labels))
    suggested = probabilities.argmax(1)
    return LabelIssues(
        probabilities[rows, labels],
        suggested,
        probabilities[rows, suggested],
        suggested != labels,
    )
