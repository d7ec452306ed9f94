"""The judgment of labels, on arrays that are worked out by hand or another way."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from fiftyone_gradcam.review.anomalies import find_anomalies_in, prepare
from fiftyone_gradcam.review.calibration import fit_temperature, tempered
from fiftyone_gradcam.review.comparison import Pairs
from fiftyone_gradcam.review.confused import in_order
from fiftyone_gradcam.review.confusion import ClassRow, wilson_interval
from fiftyone_gradcam.review.issue_facts import issues_of
from fiftyone_gradcam.review.kernel import (
    _solve_without,
    directions,
    plain_directions,
    spectrum_of,
)
from fiftyone_gradcam.review.label_issues import (
    check_folds,
    folds_of,
    label_issues,
    out_of_fold_probabilities,
)
from fiftyone_gradcam.review.linear import leave_one_out
from fiftyone_gradcam.review.noise import WrongLabels, estimate_wrong
from fiftyone_gradcam.review.robust import geometric_mean, surely_wrong
from fiftyone_gradcam.review.scores import scores
from fiftyone_gradcam.review.twins import twins_of
from fiftyone_gradcam.review.verdict import Verdict


@pytest.mark.parametrize(
    ("own", "labels", "wrong"),
    [
        # Means of 9/16 and 2/3. One is below with the other class above; two, with none above.
        ([7, 6, 1, 4, 6, 6, 4], "0000111", [2]),
        # Means of 2/8 and 3/8: an image that reaches its own is right, whatever else it reaches.
        ([3, 1, 4, 2], "0011", [1, 3]),
        ([2, 2, 6, 6], "0011", []),  # both as much as the mean
        ([2, 8, 6, 6], "0011", [0]),  # exactly as much as the other class needs
        ([0, 0, 0, 8, 8, 6, 6], "0000011", [0, 1]),  # at most half of five
    ],
)
def test_labels_are_surely_wrong_by_the_thresholds_of_their_classes(own, labels, wrong):
    """Probabilities of the own of two classes, in eighths."""
    label = np.array([int(x) for x in labels])
    probabilities = np.empty((len(label), 3))
    rows = np.arange(len(label))
    probabilities[rows, label] = np.array(own) / 8
    probabilities[rows, 1 - label] = 1 - np.array(own) / 8
    probabilities[:, 2] = 0.125  # of a class without images, which none can be of
    with np.errstate(all="raise"):
        assert np.flatnonzero(surely_wrong(probabilities, label)).tolist() == wrong


def test_probabilities_of_0_are_as_those_of_a_thousandth():
    found = geometric_mean(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert found[0] == pytest.approx([0.5, 0.5])
    found = geometric_mean(np.array([[1.0, 0.0]]), np.array([[0.25, 0.75]]))
    assert found[0, 1] == pytest.approx(0.00075**0.5 / (0.5 + 0.00075**0.5))


@pytest.mark.parametrize("folds", [True, False, 1, 0, -2, 2.0, "3", None])
def test_folds_are_a_whole_number_of_at_least_2(folds):
    check_folds(2)
    with pytest.raises(ValueError, match=f"at least 2, not {folds!r}$"):
        check_folds(folds)


def test_each_image_is_judged_by_a_model_of_the_other_folds():
    random = np.random.default_rng(0)
    labels = np.arange(24) % 3
    features = random.normal(size=(24, 4)) + labels[:, None]
    steps = []
    found = out_of_fold_probabilities(
        features, labels, 3, 3, 5, on_step=lambda *step: steps.append(step)
    )
    fold = folds_of(labels, 3, 5)
    for number in range(3):
        scaler = StandardScaler().fit(features[fold != number])
        model = LogisticRegression(C=0.01).fit(
            scaler.transform(features[fold != number]), labels[fold != number]
        )
        expected = model.predict_proba(scaler.transform(features[fold == number]))
        assert found[fold == number] == pytest.approx(expected, abs=1e-6)
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_an_image_that_is_not_normal_is_scored_by_the_mean_of_five_models():
    features = np.random.default_rng(0).gamma(4, 1, (30, 6)).astype(np.float32)
    normal = np.arange(30) < 25
    found = find_anomalies_in(features, normal, 0.1)
    fold = folds_of(np.zeros(25, np.int64), 5)
    each = []
    for number in range(5):
        prepared = prepare(features, np.flatnonzero(fold != number))
        model = OneClassSVM(gamma=1.0, nu=0.1).fit(prepared[:25][fold != number])
        each.append(1 - model.score_samples(prepared) / model.offset_)
    expected = np.mean(each, 0)
    expected[:25] = np.array(each)[fold, np.arange(25)]
    assert found.scores == pytest.approx(expected, abs=1e-6)
    assert found.threshold == np.sort(found.scores[:25])[22]  # of 2 of 25, 2 are above


def test_a_small_system_is_solved_in_place_of_a_large_one():
    random = np.random.default_rng(0)
    for rows in (3, 4, 5, 9):
        own, weights = 0.2 * random.normal(size=(rows, 4)), random.uniform(0.5, 1, 4)
        right = random.normal(size=(rows, 2))
        expected = np.linalg.solve(np.eye(rows) - own @ np.diag(weights) @ own.T, right)
        assert _solve_without(own, weights, right) == pytest.approx(expected)


def test_features_that_hardly_differ_are_not_amplified():
    features = np.random.default_rng(0).normal(size=(40, 3))
    jitter = 4 * (1 + 2.0**-22 * (np.arange(40) % 2))
    wide = np.concatenate([features, jitter[:, None]], 1)
    assert directions(wide) == pytest.approx(directions(features), abs=1e-6)
    assert directions(np.zeros((3, 0))).shape == (3, 0)
    assert (plain_directions(np.zeros((3, 2))) == 0).all()
    labels = np.arange(40) % 2
    plain = leave_one_out(features, labels)
    jitter = 4 + 1e-11 * (np.arange(40) % 2)  # which knows the class
    found = leave_one_out(np.concatenate([features, jitter[:, None]], 1), labels)
    assert (found.error, found.accuracy) == (plain.error, plain.accuracy)


def test_the_kernel_is_exact_up_to_a_number_of_images():
    vectors = plain_directions(np.random.default_rng(0).normal(size=(60, 8)))
    labels = np.arange(60) % 3
    assert len(spectrum_of(vectors, labels, 60, 5).values) == 60
    assert len(spectrum_of(vectors, labels, 59, 5).values) == 5
    alike = spectrum_of(np.ones((4, 1), np.float32), labels[:4])
    assert alike.values == pytest.approx([8.0])  # all entries are e^0 + 1


def test_scores_of_a_prediction_without_doubt():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = scores(np.array([[0.0, -2000.0], [0.0, 0.0]]), np.array([1, -1]))
    assert found.entropy.tolist() == [0.0, pytest.approx(np.log(2))]
    assert not np.signbit(found.entropy).any()
    assert found.label_score[0] == 0.0
    assert np.isnan(found.label_score[1])


def test_intervals_of_proportions_are_wilsons():
    assert wilson_interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert wilson_interval(0, 10) == (0.0, pytest.approx(0.277533, abs=1e-6))
    assert wilson_interval(10, 10) == pytest.approx((0.722467, 1.0), abs=1e-6)


def test_rates_of_a_class_without_samples_are_unknown():
    nothing, unseen, wrong = ClassRow("a", 0, 0, 0), ClassRow("b", 3, 0, 0), ClassRow("c", 0, 2, 0)
    rates = [(row.recall, row.precision, row.f1) for row in (nothing, unseen, wrong)]
    assert rates == [(None, None, None), (0.0, None, 0.0), (None, 0.0, 0.0)]
    ordered = in_order([wrong, nothing, unseen], "recall")
    assert [row.name for row in ordered] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("only_a", "only_b", "verdict"),
    [
        (13, 11, "The difference may be chance: too few images to tell them apart (McNemar's exac"),
        (13, 12, "The difference may be chance (McNemar's exact test, p = 1)"),
        (0, 6, "'b' is better: the difference is more than chance (McNemar's exact test, p = 0.0"),
        (6, 0, "'a' is better: the difference is more than chance (McNemar's exact test, p = 0.0"),
        (4, 4, "Both are right on the same number of images, but not on the same ones"),
        (0, 0, "Both are right on the same images"),
    ],
)
def test_the_verdict_on_two_runs(only_a, only_b, verdict):
    pairs = Pairs(100, 50 + only_a, 50 + only_b, only_a, only_b, 50 - only_a - only_b)
    assert pairs.verdict("a", "b").startswith(verdict)
    assert pairs.both_right == 50


@pytest.mark.parametrize("other", [0.02, 0.0])
def test_the_interval_of_clearly_wrong_labels_is_that_of_a_count(other):
    right = np.arange(400) % 2
    probabilities = np.full((400, 2), other)
    probabilities[np.arange(400), right] = 1 - other
    found = estimate_wrong(probabilities, right)
    assert (found.count, found.low, found.high) == pytest.approx((0, 0, 1), abs=1e-6)
    labels = right.copy()
    labels[::20] = 1  # of class 0
    found = estimate_wrong(probabilities, labels)
    reach = 20**0.5 + 1
    expected = (20, 20 - reach, 20 + reach)
    assert (found.count, found.low, found.high) == pytest.approx(expected, abs=1e-6)
    assert found.pairs == pytest.approx(np.array([[0, 20], [0, 0]]), abs=1e-6)
    assert found.chances == pytest.approx((labels != right).astype(float), abs=1e-6)


def test_probabilities_of_0_have_a_temperature_too():
    certain = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert tempered(certain, 2.0)[0, 1] == pytest.approx(1e-6, rel=1e-4)
    # Right once of two: as likely as not, as far as the range of temperatures goes.
    assert fit_temperature(certain, np.array([0, 1])) == pytest.approx(20.0)
    assert fit_temperature(certain, np.array([0, 0])) <= 1.0


def test_features_that_there_are_none_of_make_no_twins():
    twins, group = twins_of([None] * 12, [np.zeros((12, 0))])
    assert (twins, group.tolist()) == ({}, list(range(12)))


@pytest.mark.parametrize("has_features", [True, False])
def test_issues_are_those_of_images_that_can_be_read_with_their_neighbors(has_features):
    """Image 2 is not judged, and image 4 cannot be read; 0 and 1 are twins."""
    labels = ["cat", "cat", "owl", "cat", "dog", "dog", "dog"]
    readable = [None if place == 4 else label for place, label in enumerate(labels)]
    places, judged = np.array([0, 1, 3, 4, 5, 6]), np.array([0, 0, 0, 1, 1, 1])
    probabilities = np.array(
        [[0.2, 0.8], [0.8, 0.2], [0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.9, 0.1]]
    )
    chances = np.array([0.75, 0.0, 0.0, 0.5, 0.0, 0.25])
    verdict = Verdict(
        probabilities,
        label_issues(probabilities, judged),
        WrongLabels(1.0, 0.0, 2.0, np.zeros((2, 2)), chances),
        np.arange(6) == 0,
    )
    angles = np.radians([0, 1, 90, 10, 20, 30, 40])
    features = np.square(np.stack([np.cos(angles), np.sin(angles)], 1))
    twins = {0: {1: "near"}, 1: {0: "near"}}
    found = issues_of(
        *(labels, readable, ["cat", "dog"], places, verdict),
        features if has_features else np.zeros((7, 0)),
        *(twins, np.array([0, 0, 2, 3, 4, 5, 6]), [None] * 7),
    )
    kinds = {place: (one.kind, one.confidence, one.sure) for place, one in found.items()}
    assert kinds == {
        0: ("wrong label", 0.75, True),
        2: ("too few to judge", 1.0, False),
        6: ("possibly wrong", 0.25, False),
    }
    near = {place: one.neighbors for place, one in found.items()}
    if has_features:
        assert set(near[0]) == {3, 4, 5, 6}  # without itself and its twin
        assert set(near[6]) == {0, 1, 3, 4, 5}
        assert (near[0][0], near[6][0]) == (3, 5)
        assert near[2] == ()
    else:
        assert near == {0: (), 2: (), 6: ()}
