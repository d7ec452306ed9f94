"""Scores and label issues: hand-worked values, and errors planted in data."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from fiftyone_gradcam.review.label_issues import (
    folds_of,
    label_issues,
    out_of_fold_probabilities,
)
from fiftyone_gradcam.review.scores import scores, softmax


def test_scores_by_hand():
    logits = np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], np.float32))
    found = scores(logits, np.array([1, -1]))
    assert found.predicted.tolist() == [0, 2]
    assert found.confidence == pytest.approx([0.5, 0.8], abs=1e-6)
    assert found.margin == pytest.approx([0.2, 0.7], abs=1e-6)
    assert found.label_score[0] == pytest.approx(0.3, abs=1e-6)
    assert np.isnan(found.label_score[1])
    expected = -(0.5 * np.log(0.5) + 0.3 * np.log(0.3) + 0.2 * np.log(0.2))
    assert found.entropy[0] == pytest.approx(expected, abs=1e-6)


def test_extreme_logits_stay_finite():
    logits = np.array([[1000.0, -1000.0], [-1e4, -1e4]], np.float32)
    assert softmax(logits).tolist() == [[1.0, 0.0], [0.5, 0.5]]
    found = scores(logits, np.array([1, 0]))
    assert found.entropy.tolist() == [0.0, pytest.approx(np.log(2))]
    assert found.label_score.tolist() == [0.0, 0.5]


def test_label_issues_by_hand():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]])
    found = label_issues(probabilities, np.array([0, 1]))
    assert found.quality.tolist() == [0.9, 0.3]
    assert found.suggested.tolist() == [0, 2]
    assert found.suggested_score.tolist() == [0.9, 0.5]
    assert found.issues.tolist() == [False, True]


def test_folds_are_stratified_and_never_hide_a_class():
    labels = np.repeat([0, 1, 2], [50, 25, 2])
    fold = folds_of(labels, 5, seed=3)
    for label, count in ((0, 10), (1, 5)):
        assert np.bincount(fold[labels == label]).tolist() == [count] * 5
    assert len(set(fold[labels == 2])) == 2  # each is judged by a model that saw the other
    assert (fold == folds_of(labels, 5, seed=3)).all()
    assert (fold != folds_of(labels, 5, seed=4)).any()
    assert folds_of(np.array([0, 0, 1]), 5).max() == 1
    twins = np.arange(77) // 2  # a pair of images is never parted
    fold = folds_of(labels, 5, groups=twins)
    assert all(len(set(fold[twins == pair])) == 1 for pair in range(39))
    assert np.bincount(fold).max() <= 18
    with pytest.raises(ValueError, match="No class has two"):
        folds_of(np.array([0, 1, 2]), 5)
    with pytest.raises(ValueError, match="not 1"):
        folds_of(labels, 1)


def test_no_image_is_judged_by_a_model_that_saw_it():
    """Random labels cannot be learnt: in-sample they would look perfect, out of fold they don't."""
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(200, 400)), random.integers(0, 2, 200)
    probabilities = out_of_fold_probabilities(features, labels, 2)
    assert probabilities.sum(1) == pytest.approx(1)
    right = (probabilities.argmax(1) == labels).mean()
    assert 0.35 < right < 0.65


def test_planted_errors_come_to_the_top():
    digits = load_digits()
    random = np.random.default_rng(0)
    labels = digits.target.copy()
    planted = random.choice(len(labels), 90, replace=False)
    labels[planted] = (labels[planted] + random.integers(1, 10, 90)) % 10
    found = label_issues(out_of_fold_probabilities(digits.data, labels, 10), labels)
    wrong = np.isin(np.arange(len(labels)), planted)
    assert roc_auc_score(wrong, -found.quality) > 0.98
    assert (found.suggested[planted] == digits.target[planted]).mean() > 0.9


@pytest.mark.parametrize("seed", range(20))
def test_folds_are_those_of_scikit_learn_without_its_warning(seed, recwarn):
    from sklearn.model_selection import StratifiedKFold

    random = np.random.default_rng(seed)
    labels = random.integers(0, random.integers(2, 12), random.integers(30, 200))
    found = folds_of(labels, 7, seed)
    assert len(recwarn) == 0
    wanted = min(7, np.bincount(labels).max())
    splitter = StratifiedKFold(wanted, shuffle=True, random_state=seed)
    for number, (_, members) in enumerate(splitter.split(labels, labels)):
        assert (found[members] == number).all()
