"""Labels judged without themselves, against refitting for each image; errors planted in data."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score, roc_auc_score

from fiftyone_gradcam.dataset.given_probabilities import given_probabilities
from fiftyone_gradcam.dataset.judging import JudgingMethod, judge
from fiftyone_gradcam.review.kernel import (
    LAMBDAS,
    choose_strength,
    directions,
    left_out_scores,
    refit_scores,
    spectrum_of,
)
from fiftyone_gradcam.review.label_issues import out_of_fold_probabilities
from fiftyone_gradcam.review.noise import estimate_wrong
from fiftyone_gradcam.review.robust import judge_labels, surely_wrong
from fiftyone_gradcam.review.twins import judgeable, left_out_together, twins_of
from fiftyone_gradcam.review.verdict import verdict_by_features

GROUPS = [np.array([4, 5, 6, 20]), np.array([30, 31])]


@pytest.fixture(scope="module")
def small():
    """60 images of three classes, some of them twins; their kernel matrix in float64."""
    random = np.random.default_rng(0)
    features, labels = np.abs(random.normal(size=(60, 20))), random.integers(0, 3, 60)
    features[np.arange(60), labels] += 1
    features[[5, 6, 20]] = features[4]
    vectors = directions(features).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = np.maximum(1 - vectors @ vectors.T, 0)
    median = np.median(distances[np.triu_indices(60, 1)])
    return vectors, labels, np.exp(-distances / median) + 1


def refitted(kernel, targets, strength, kept, place):
    """The scores of one image by a regression on some others, solved from the start."""
    inner = kernel[np.ix_(kept, kept)] + strength * np.eye(len(kept))
    return kernel[place, kept] @ np.linalg.solve(inner, targets[kept])


def without_group(place):
    return [i for i in range(60) if not any({i, place} <= set(g) for g in GROUPS) and i != place]


@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
def test_leaving_groups_out_is_refitting_without_them(small, strength):
    vectors, labels, kernel = small
    targets, spectrum = np.eye(3)[labels], spectrum_of(vectors, labels)
    left_out = np.zeros(60, bool)
    left_out[[5, 6, 30, 40, 50]] = True
    found = left_out_scores(spectrum, targets, strength, GROUPS)
    again = refit_scores(spectrum, targets, strength, left_out, GROUPS)
    for place in range(60):
        kept = without_group(place)
        assert found[place] == pytest.approx(
            refitted(kernel, targets, strength, kept, place), abs=1e-9
        )
        kept = [i for i in kept if not left_out[i]]
        assert again[place] == pytest.approx(
            refitted(kernel, targets, strength, kept, place), abs=1e-9
        )


def test_the_strength_is_that_of_least_error_on_what_is_left_out(small):
    vectors, labels, kernel = small
    targets = np.eye(3)[labels]
    errors = [
        sum(
            np.square(refitted(kernel, targets, s, without_group(i), i) - targets[i]).sum()
            for i in range(60)
        )
        for s in LAMBDAS
    ]
    assert (
        choose_strength(spectrum_of(vectors, labels), targets, GROUPS) == LAMBDAS[np.argmin(errors)]
    )


def test_as_many_landmarks_as_images_are_exact(small):
    vectors, labels, _ = small
    targets = np.eye(3)[labels]
    exact = spectrum_of(vectors, labels)
    landmarks = spectrum_of(vectors, labels, most_exact=10, landmarks=60)
    left_out = np.arange(60) % 7 == 0
    for strength in (0.1, 10.0):
        assert left_out_scores(landmarks, targets, strength, GROUPS) == pytest.approx(
            left_out_scores(exact, targets, strength, GROUPS), abs=2e-3
        )
        assert refit_scores(landmarks, targets, strength, left_out, GROUPS) == pytest.approx(
            refit_scores(exact, targets, strength, left_out, GROUPS), abs=2e-3
        )


def test_given_probabilities_are_those_of_the_classes_that_are_judged():
    """Of a class with too few images nothing is said: what it had is the others'."""
    given = np.array([[0.6, 0.2, 0.2], [0.1, 0.5, 0.4], [0.0, 1.0, 0.0]])
    way = JudgingMethod("probabilities", None, None, given, 5, 0, None)
    looks = SimpleNamespace(features=None)
    args = (np.arange(3), np.array([0, 1, 1]), np.arange(3), way, [0, 2], lambda *_: None)
    found = judge(None, looks, *args).probabilities
    np.testing.assert_allclose(found, [[0.75, 0.25], [0.2, 0.8], [0.5, 0.5]])


def test_given_probabilities_of_samples_without_a_label_may_be_anything():
    given = [[2.0, 2.0], [0.25, 0.75], [np.nan, 0.0]]
    found = given_probabilities(given, [None, "a", None], ["a", "b"])
    assert found[1].tolist() == [0.25, 0.75]
    with pytest.raises(ValueError, match="1 rows .* such as row 0, which adds up to 4 and"):
        given_probabilities(given, ["b", "a", None], ["a", "b"])


def test_near_duplicates_are_never_in_two_folds(noisy):
    features, _, labels = noisy
    features, labels = np.repeat(features[:60], 2, 0), np.repeat(labels[:60] % 2, 2)
    group, places = np.repeat(np.arange(60), 2), np.arange(120)
    way = JudgingMethod("folds", None, None, None, 5, 3, None)
    looks = SimpleNamespace(features=features)
    found = judge(None, looks, places, labels, group, way, [0, 1], lambda *_: None)
    apart = out_of_fold_probabilities(features, labels, 2, 5, 3, groups=group)
    np.testing.assert_array_equal(found.probabilities, apart)
    # Both copies of an image are judged by the same others.
    assert found.probabilities[::2].tolist() == found.probabilities[1::2].tolist()


def test_surely_wrong_labels_by_hand():
    probabilities = np.array(
        [[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.45, 0.55], [0.3, 0.7], [0.1, 0.9], [0.9, 0.1]]
    )
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    # Thresholds: (.9 + .8 + .2 + .45) / 4 = .5875 and (.7 + .9 + .1) / 3 = .5667. The fourth is
    # below its own, and no class reaches its threshold; the last belongs to the first class.
    assert surely_wrong(probabilities, labels).tolist() == [False] * 2 + [True] + [False] * 3 + [
        True
    ]
    # Never more than half of a class: of three, the one that is most surely wrong.
    probabilities = np.array([[0.9, 0.1]] * 5 + [[0.7, 0.3], [0.95, 0.05], [0.02, 0.98]])
    labels = np.array([0] * 5 + [1] * 3)
    assert np.flatnonzero(surely_wrong(probabilities, labels)).tolist() == [6]
    # Of four three seem wrong, and the two that are most surely so may be.
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.1, 0.9], [0.2, 0.8]] + [[0.4, 0.6]] * 4)
    labels = np.array([0] * 4 + [1] * 4)
    assert np.flatnonzero(surely_wrong(probabilities, labels)).tolist() == [2, 3]
    # A class that no image has changes nothing.
    more = np.column_stack([probabilities, np.zeros(8)])
    assert np.flatnonzero(surely_wrong(more, labels)).tolist() == [2, 3]


@pytest.fixture(scope="module")
def noisy():
    """600 digits, 60 of them with a wrong label."""
    digits = load_digits()
    random = np.random.default_rng(1)
    features, truth = digits.data[:600].astype(np.float32), digits.target[:600]
    labels = truth.copy()
    planted = random.choice(600, 60, replace=False)
    labels[planted] = (truth[planted] + random.integers(1, 10, 60)) % 10
    return features, truth, labels


def test_planted_errors_come_to_the_top_and_are_counted(noisy):
    features, truth, labels = noisy
    verdict = verdict_by_features(features, labels, 10)
    wrong = labels != truth
    assert roc_auc_score(wrong, -verdict.issues.quality) > 0.995
    assert average_precision_score(wrong, -verdict.issues.quality) > 0.97
    assert (verdict.issues.suggested[wrong] == truth[wrong]).mean() > 0.95
    assert verdict.estimate.low <= 60 <= verdict.estimate.high
    assert verdict.estimate.count == pytest.approx(60, rel=0.15)
    assert verdict.wrong[wrong].mean() > 0.8
    assert verdict.wrong[~wrong].mean() < 0.01
    clean = verdict_by_features(features, truth, 10)
    assert clean.estimate.count <= 0.02 * 600
    again = verdict_by_features(features, labels, 10)
    assert (again.probabilities == verdict.probabilities).all()  # no seed


def test_twins_of_a_wrong_label_do_not_hide_it(noisy):
    features, truth, labels = noisy
    wrong = np.flatnonzero(labels != truth)
    twins = np.repeat(wrong, 3)
    random = np.random.default_rng(2)
    copies = features[twins] * random.normal(1, 0.01, (len(twins), 64))
    features = np.concatenate([features, copies.astype(np.float32)])
    labels = np.concatenate([labels, labels[twins]])
    group = np.concatenate([np.arange(600), twins])
    own = np.arange(len(labels)), labels

    def precision(groups):
        quality = judge_labels(features, labels, 10, groups).probabilities[own][:600]
        return average_precision_score(np.isin(np.arange(600), wrong), -quality)

    assert precision(left_out_together(group)) > 0.95
    assert precision([]) < 0.8


def test_the_number_of_wrong_labels_by_pairs_of_classes():
    """Probabilities that are right: drawn labels differ from the classes as they were drawn."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 3000)
    probabilities = np.full((3000, 3), 0.02)
    probabilities[np.arange(3000), truth] = 0.96
    labels = truth.copy()
    ones = np.flatnonzero(truth == 1)[:150]
    labels[ones] = 2  # 150 of class 1 are labelled 2, and nothing else is wrong
    found = estimate_wrong(probabilities, labels)
    assert found.count == pytest.approx(150, abs=8)
    assert found.low <= 150 <= found.high
    assert found.pairs[1, 2] == pytest.approx(150, abs=8)
    assert found.pairs.sum() == pytest.approx(found.count)
    assert found.pairs.sum() - found.pairs[1, 2] < 5
    assert np.sort(found.chances)[-150:].min() > 0.5 > np.sort(found.chances)[:-150].max()


def hard_images(random, count, classes=10):
    """Classes and probabilities: half of the images are predicted surely and rightly, the others
    less surely, and half of these wrongly."""
    truth = random.integers(0, classes, count)
    is_hard = np.arange(count) % 2 == 1
    predicted = np.where(
        is_hard & (random.random(count) < 0.5), random.integers(0, classes, count), truth
    )
    scores = random.normal(0, 0.3, (count, classes))
    scores[np.arange(count), predicted] += np.where(is_hard, random.uniform(3, 5, count), 7)
    chances = np.exp(scores)
    return truth, chances / chances.sum(1, keepdims=True)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_errors_of_the_model_are_not_counted_as_wrong_labels(share):
    """22% of the labels differ from the prediction, even if all labels are right."""
    random = np.random.default_rng(1)
    truth, probabilities = hard_images(random, 4000)
    is_wrong = random.random(4000) < share
    labels = np.where(is_wrong, (truth + random.integers(1, 10, 4000)) % 10, truth)
    found = estimate_wrong(probabilities, labels)
    assert found.low <= is_wrong.sum() <= found.high
    assert found.count == pytest.approx(is_wrong.sum(), rel=0.12, abs=15)
    assert found.chances.sum() == pytest.approx(found.count)
    assert found.pairs.sum() == pytest.approx(found.count)


def test_wrong_labels_of_the_least_confident_classes_are_counted():
    """Two of ten classes are predicted less surely, and 30% of their labels are each other's: few
    of the most confident of all images notice it, those of each class do."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 10, 4000)
    scores = random.normal(0, 0.3, (4000, 10))
    scores[np.arange(4000), truth] += np.where(truth >= 8, 4, 7)
    chances = np.exp(scores)
    is_wrong = (truth >= 8) & (random.random(4000) < 0.3)
    labels = np.where(is_wrong, 17 - truth, truth)
    found = estimate_wrong(chances / chances.sum(1, keepdims=True), labels)
    assert found.low < 50  # what the most confident of all images say is inside the interval
    assert is_wrong.sum() <= found.high
    assert found.count == pytest.approx(is_wrong.sum(), rel=0.2)


def test_directions_by_hand():
    """Signed roots, standardized and of length 1; a constant feature is left out."""
    features = np.array([[4.0, 1.0, 7.0], [-9.0, 4.0, 7.0], [1.0, 16.0, 7.0], [0.0, 25.0, 7.0]])
    roots = np.array([[2.0, 1.0], [-3.0, 2.0], [1.0, 4.0], [0.0, 5.0]])
    right = (roots - [0.0, 3.0]) / np.sqrt([14 / 4, 10 / 4])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    assert directions(features.astype(np.float32)) == pytest.approx(right, abs=1e-6)


def test_twins_and_the_classes_that_can_be_judged():
    random = np.random.default_rng(0)
    look = random.normal(size=(40, 30))
    look[7] = look[3] + 1e-4
    digests = [None] * 40
    digests[0] = digests[1] = digests[2] = "same"
    twins, group = twins_of(digests, [look])
    assert twins == {
        0: {1: "equal", 2: "equal"},
        1: {0: "equal", 2: "equal"},
        2: {0: "equal", 1: "equal"},
        3: {7: "near"},
        7: {3: "near"},
    }
    assert [part.tolist() for part in left_out_together(group)] == [[0, 1, 2], [3, 7]]
    labels = ["a"] * 6 + ["b"] * 30 + [None] * 2 + ["c"] * 2
    # Of six images of "a" three are the same: four that differ.
    assert judgeable(labels, group, 5) == (["b"], {"a": 6, "c": 2})
    assert judgeable(labels, group, 4) == (["a", "b"], {"c": 2})
