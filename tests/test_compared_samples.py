"""Samples by label and prediction: how many there are, and which ones, by values by hand."""

import fiftyone as fo
import numpy as np
import pytest

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.class_probabilities import ClassProbabilities
from fiftyone_gradcam.dataset.class_scores import class_scores
from fiftyone_gradcam.dataset.evaluation import (
    counts_of_two,
    evaluation_counts,
    prediction_fields,
    samples_among,
    samples_compared,
    samples_of_class,
)
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.judged import judged, parts_of
from fiftyone_gradcam.review.calibration import BINS

# Label, two predictions, and the confidence of both.
ROWS = [
    ("a", "a", "b", 0.0),
    ("a", "b", "b", 0.25),
    ("a", "b", "a", 0.3),
    ("$b", "b", "a", 1.0000001),  # as rounding may make it
    ("b", "b", "b", 0.55),
    ("b", "a", None, float("nan")),
    ("b", None, "b", 0.9),
    (None, "a", "a", 0.9),
    ("a", "a", "a", None),
    ("b", "b", "b", 0.28),
]


@pytest.fixture
def dataset(name) -> fo.Dataset:
    dataset = fo.Dataset(name)
    samples = []
    for place, (label, one, other, sure) in enumerate(ROWS):
        sample = fo.Sample(filepath=f"/{place}.png", own=label and fo.Classification(label=label))
        for field, found in (("one", one), ("other", other)):
            score = None if sure is None else 1 - sure
            sample[field] = found and fo.Classification(
                label=found, confidence=sure, label_score=score
            )
        samples.append(sample)
    dataset.add_samples(samples, dynamic=True)
    describe_field(dataset, "one", "by hand", run="r", classes=["a", "b", "$b"])
    describe_field(dataset, "other", "by hand", classes=["a", "b", "$b"])
    return dataset


def numbers(samples) -> str:
    """The places of samples, in their order."""
    return "".join(path[1] for path in samples.values("filepath"))


def test_counts_and_bins_are_of_samples_with_a_label_and_predictions(dataset):
    assert prediction_fields(dataset) == ["one"]  # no run made the other
    pairs, bins = evaluation_counts(dataset, "own", "one")
    assert pairs == {
        ("a", "a"): 2,
        ("a", "b"): 2,
        ("$b", "b"): 1,
        ("b", "b"): 2,
        ("b", "a"): 1,
    }
    # A confidence at the limit of two bins is in the lower one; 0 is in the first. Without a
    # number, it is in none.
    assert BINS == 10
    assert [one.count for one in bins] == [1, 0, 3, 0, 0, 1, 0, 0, 0, 1]
    found = {place: (one.confidence, one.accuracy) for place, one in enumerate(bins) if one.count}
    assert found[2] == pytest.approx((0.83 / 3, 1 / 3))
    assert [found[place] for place in (0, 5, 9)] == [(0, 1), (0.55, 1), (1.0000001, 0)]
    assert counts_of_two(dataset, "own", "one", "other") == {
        ("a", "a", "b"): 1,
        ("a", "b", "b"): 1,
        ("a", "b", "a"): 1,
        ("$b", "b", "a"): 1,
        ("b", "b", "b"): 2,
        ("a", "a", "a"): 1,
    }


def test_samples_are_chosen_by_labels_and_predictions_the_most_confident_first(dataset):
    assert numbers(samples_among(dataset, "own", "one", ["a"], None)) == "2108"
    assert numbers(samples_among(dataset, "own", "one", None, ["b"])) == "34291"
    assert numbers(samples_among(dataset, "own", "one", ["$b", "b"], ["b"])) == "349"
    assert numbers(samples_of_class(dataset, "own", "one", "a")) == "8210"  # by their scores
    assert numbers(samples_of_class(dataset, "own", "one", "a", wrong=True)) == "21"
    assert numbers(samples_of_class(dataset, "own", "one", "b", wrong=True)) == "5"
    assert numbers(samples_of_class(dataset, "own", "one", "$b")) == "3"
    compared = {
        (x, y): numbers(samples_compared(dataset, "own", "one", "other", x, y))
        for x in (True, False)
        for y in (True, False)
    }
    assert compared == {
        (True, True): "498",
        (True, False): "0",
        (False, True): "2",
        (False, False): "31",
    }


def test_scores_of_a_class_are_of_samples_with_all_scores_and_a_label(dataset):
    scores = [[0.5, 0.25, 0.25], [0.0, 1, 0.0], None, [0.1, 0.2], [0.2, 0.3, 0.5]]
    for sample, row in zip(dataset, [*scores, None, None, [1.0, 0.0, 0.0]], strict=False):
        sample["one_scores"] = row
        sample.save()
    sample = dataset[dataset.values("id")[4]]
    found = class_scores(dataset, "own", "one", "a")
    assert (found.scores.tolist(), found.own.tolist()) == ([0.5, 0.0, 0.2], [True, True, False])
    ids = dataset.values("id")
    assert found.ids_of(np.array([2, 0])) == [ids[4], ids[0]]
    sample["own"] = fo.Classification(label="$b")
    sample.save()
    found = class_scores(dataset, "own", "one", "$b")  # and not a field of this name
    assert (found.scores.tolist(), found.own.tolist()) == ([0.25, 0.0, 0.5], [False, False, True])
    sample["own"] = fo.Classification(label="")
    sample.save()
    assert class_scores(dataset, "own", "one", "b").scores.tolist() == [0.25, 1.0]
    assert len(class_scores(dataset[5:], "own", "one", "b").scores) == 0
    for field, label in (("one", "c"), ("other", "c"), ("own", "a")):
        with pytest.raises(ValueError, match=f"^'{field}' has no scores of the class '{label}'$"):
            class_scores(dataset, "own", field, label)


def test_an_image_without_probabilities_has_no_class():
    rows = np.array([[0.25, 0.75], [np.nan, np.nan], [0.5, 0.5]])
    found = ClassProbabilities(["a", "b"], rows)
    assert (found.known.tolist(), found.predicted) == ([True, False, True], ["b", None, "a"])


def test_runs_are_evaluated_on_parts_that_there_are_without_what_reviews_left_out(dataset):
    assert parts_of(dataset) == ["all"]
    dataset[:3].tag_samples("val")
    dataset[3:6].tag_samples("train")
    dataset[6:].tag_samples("mine")
    assert parts_of(dataset) == ["val", "train", "all"]
    assert [numbers(judged(dataset, part)[0]) for part in ("val", "train", "all")] == [
        "012",
        "345",
        "0123456789",
    ]
    ids = dataset.values("id")
    fg.review(dataset.select([ids[1], ids[4]]), "exclude", label_field="own")
    samples, out = judged(dataset, "val")
    assert (numbers(samples), out) == ("02", {"exclude": [ids[1]]})
    samples, out = judged(dataset, "all")
    assert (numbers(samples), out) == ("02356789", {"exclude": [ids[1], ids[4]]})
