"""Views of samples without images, and what they refuse."""

import re

import fiftyone as fo
import pytest

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.views import accuracy, label_issues

#        label, other label, prediction, score, quality
ROWS = [
    ("$a", "b", "$a", 0.75, 0.5),
    ("$a", "$a", "b", 0.25, None),
    ("b", None, "b", 0.5, 0.25),
    (None, "b", "b", None, 0.75),
    ("b", "b", None, None, None),
]


@pytest.fixture
def dataset(name):
    made = fo.Dataset(name)
    for number, (label, other, seen, score, quality) in enumerate(ROWS):
        sample = fo.Sample(f"/{number}.png", label_quality=quality)
        sample["own"] = label and fo.Classification(label=label)
        sample["other"] = other and fo.Classification(label=other)
        sample["found"] = seen and fo.Classification(
            label=seen, confidence=number / 10, label_score=score
        )
        sample["found_scores"] = score and [score, 1 - score]
        made.add_sample(sample, dynamic=True)
    describe_field(made, "found", "p", run="r", label_field="own", classes=["$a", "b"])
    return made


def places(view) -> list[int]:
    return [int(path[1:-4]) for path in view.values("filepath")]


def test_views_are_about_the_labels_that_the_predictions_were_compared_with(dataset):
    found = {"prediction_field": "found"}
    assert places(fg.lowest_scores(dataset, **found)) == [1, 2, 0]
    assert places(fg.highest_scores(dataset, **found)) == [0, 2, 1]
    assert places(fg.lowest_scores(dataset, "$a", **found)) == [1, 0]
    assert places(fg.highest_scores(dataset, count=1, **found)) == [0]
    assert places(fg.lowest_scores(dataset, "b", label_field="other", **found)) == [0]
    assert places(fg.mistakes(dataset, "found")) == [1]
    assert places(fg.mistakes(dataset, "found", "other")) == [1, 0]
    assert accuracy(dataset, "found") == 2 / 3
    assert accuracy(dataset, "found", "other") == 1 / 3
    assert accuracy(dataset.skip(4), "found") is None
    # Predictions that were compared with nothing are compared with the labels of an import.
    describe_field(dataset, "found", "p")
    assert places(fg.mistakes(dataset, "found")) == []  # there are none
    dataset.clone_sample_field("other", "ground_truth")
    assert places(fg.mistakes(dataset, "found")) == [1, 0]
    describe_field(dataset, "found", "p", label_field="own")
    ids = dataset.values("id")
    dataset.set_values("review", {ids[1]: fo.Classification(label="exclude")}, key_field="id")
    assert places(fg.mistakes(dataset, "found")) == []
    assert places(fg.mistakes(dataset, "found", include_excluded=True)) == [1]


def test_the_most_suspicious_label_comes_first(dataset):
    assert places(label_issues(dataset)) == [2, 0, 3]
    assert places(label_issues(dataset.limit(2))) == [0]
    dataset.rename_sample_field("label_quality", "quality")
    words = (
        f"{dataset.name!r} has no field 'label_quality'. Did you mean 'quality'? "
        "Call find_label_issues() first"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        label_issues(dataset.limit(2))
    assert places(label_issues(dataset, "quality")) == [2, 0, 3]


def test_what_views_refuse(dataset):
    unknown = "Call predict() first, or name the field that holds the predictions"
    for options, words in (
        ({"count": 0}, "count must be a whole number of at least 1, not 0"),
        ({"count": True}, "count must be a whole number of at least 1, not True"),
        ({"count": 1.0}, "count must be a whole number of at least 1, not 1.0"),
        (
            {"label": "B"},
            "No sample has the label 'B' in 'own'. Did you mean 'b'? Its labels: $a, b",
        ),
        (
            {"label": "b", "label_field": "nowhere"},
            "'nowhere' is not a classification field",
        ),
        (
            {"prediction_field": "foun"},
            f"{dataset.name!r} has no field 'foun'. Did you mean 'found'? {unknown}",
        ),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            fg.lowest_scores(dataset, **{"prediction_field": "found", **options})
    dataset.set_values("own", [None] * 5)
    with pytest.raises(
        ValueError, match=r"No sample has the label 'b' in 'own'\. Its labels: none"
    ):
        fg.highest_scores(dataset, "b", prediction_field="found")
