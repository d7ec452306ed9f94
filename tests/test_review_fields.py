"""The fields that a review reads, and the values that it writes, by hand."""

import re

import fiftyone as fo
import pytest
from fiftyone.core.odm import get_db_conn
from reviewable import CLASSES, make_reviewable

from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.review_cards import cards
from fiftyone_gradcam.dataset.review_queue import Filters, queued, sure_ids
from fiftyone_gradcam.dataset.review_state import (
    Columns,
    changes_for,
    classes_of,
    columns_of,
    default_label_field,
    label_in,
    own_score,
)
from fiftyone_gradcam.dataset.reviews import reviewing

OWN = Columns("own", "own.label", {"seen": ["cat", "dog"]}, "quality", "other", "issue", None)
ROW = {
    "own": {"_id": 1, "label": "cat", "note": "n"}, "seen": {"label": "dog"},
    "seen_scores": [0.25, 0.75], "quality": 0.1, "other": {"label": "dog"},
    "issue": {"label": "wrong label"},
}  # fmt: skip
SETTLED = {"quality": 1.0, "other": None, "issue": None}
CHANGED = {"own": {"_id": 1, "label": "dog", "note": "n"}, "seen.label_score": 0.75}


def columns(**changed) -> Columns:
    return Columns(**{**vars(OWN), **changed})


@pytest.mark.parametrize(
    ("row", "own", "label", "vouched", "changes"),
    [
        ({}, {}, "dog", True, CHANGED | SETTLED),
        ({}, {}, "cat", True, SETTLED),  # "keep"
        ({}, {}, "cat", False, {"quality": None}),  # "unclear"
        ({"quality": None}, {}, "cat", False, {}),
        ({"quality": None}, {}, "cat", True, SETTLED),
        ({}, {}, "dog", False, CHANGED | {"quality": None}),
        ({}, {}, "wolf", True, SETTLED | {
            "own": {"_id": 1, "label": "wolf", "note": "n"}, "seen.label_score": None,
        }),
        ({"seen": None}, {}, "dog", True, SETTLED | {"own": CHANGED["own"]}),
        ({"seen_scores": None}, {}, "dog", True, CHANGED | SETTLED | {"seen.label_score": None}),
        ({"other": None}, {}, "cat", True, {"quality": 1.0, "issue": None}),
        ({"issue": {"label": "ambiguous"}}, {}, "cat", True, SETTLED),
        # What is wrong with the image stays, and what is not about these labels.
        ({"issue": {"label": "blurry"}}, {}, "cat", True, {"quality": 1.0, "other": None}),
        ({"issue": None}, {}, "cat", True, {"quality": 1.0, "other": None}),
        ({}, {"issue": None}, "cat", True, {"quality": 1.0, "other": None}),
        ({}, {"quality": None}, "cat", True, {"other": None, "issue": None}),
        ({}, {"suggestion": None}, "cat", True, {"quality": 1.0, "issue": None}),
        ({}, {"quality": None, "suggestion": None}, "cat", True, {}),
        ({"text": "cat"}, {"label_field": "text", "label": "text"}, "dog", True, SETTLED | {
            "text": "dog", "seen.label_score": 0.75,
        }),
    ],
)  # fmt: skip
def test_what_a_decision_writes(row, own, label, vouched, changes):
    assert changes_for({**ROW, **row}, columns(**own), label, vouched) == changes


def test_a_sample_without_a_label_gets_one():
    made = changes_for({**ROW, "own": None}, OWN, "dog", True)["own"]
    assert (made["label"], made["_cls"], made["tags"]) == ("dog", "Classification", [])


def test_the_label_of_a_sample():
    text = columns(label_field="text", label="text")
    assert [label_in(row, text) for row in ({"text": "a"}, {"text": ""}, {})] == ["a", None, None]
    for value, label in (({"label": "a"}, "a"), ({"label": ""}, None), ({}, None), (None, None)):
        assert label_in({"own": value}, OWN) == label


def test_the_probability_of_a_label():
    assert own_score([0.25, 0.75], ["cat", "dog"], "dog") == 0.75
    for scores, label in ((None, "dog"), ([], "dog"), ([0.25, 0.75], "wolf"), ([0.25, 0.75], None)):
        assert own_score(scores, ["cat", "dog"], label) is None


def test_labels_are_those_that_were_checked_last_or_else_imported_or_else_the_first(name):
    dataset = fo.Dataset(name)
    assert default_label_field(dataset) == "ground_truth"
    for field in ("b", "a", "ground_truth", "prediction"):
        kind = {"embedded_doc_type": fo.Classification}
        dataset.add_sample_field(field, fo.EmbeddedDocumentField, **kind)
    describe_field(dataset, "prediction", "p", run="r")
    dataset.add_sample_field("label_quality", fo.FloatField)
    describe_field(dataset, "label_quality", "q", label_field="a")
    dataset.info["import_folders"] = {"label_field": "b"}
    for gone, field in (
        (None, "a"), ("label_quality", "b"), ("b", "ground_truth"), ("ground_truth", "a"),
        ("a", "ground_truth"),
    ):  # fmt: skip
        if gone:
            dataset.delete_sample_field(gone)
        assert default_label_field(dataset) == field


def test_the_fields_of_a_review_are_those_about_its_labels(name):
    dataset = make_reviewable(name)
    dataset.add_sample_field("kind", fo.StringField)
    own = Columns(
        "own", "own.label", {"prediction": CLASSES}, "label_quality", "suggested_label", None, None
    )
    assert columns_of(dataset) == columns_of(dataset, "own") == own
    assert columns_of(dataset, "kind") == Columns("kind", "kind", {}, None, None, None, None)
    words = (
        "'prediction' was written by this plugin and holds no labels of your own. Name the field "
        "of the labels, such as 'own'"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        columns_of(dataset, "prediction")
    # Without their probabilities, or of no run, predictions have no scores to change.
    field = dataset.get_field("prediction")
    facts = {**field.info}
    for gone in ("run", "label_field"):
        field.info = {key: value for key, value in facts.items() if key != gone}
        field.save()
        assert columns_of(dataset, "own").scores == {}
    field.info = facts
    field.save()
    dataset.delete_sample_field("prediction_scores")
    assert columns_of(dataset, "own").scores == {}
    # An issue is read if this plugin found it, and labels as imported if they are these.
    kind = {"embedded_doc_type": fo.Classification}
    dataset.add_sample_field("issue", fo.EmbeddedDocumentField, **kind)
    dataset.add_sample_field("imported_label", fo.StringField)
    for label_field in ("kind", "own"):
        assert columns_of(dataset, "own").issue is None
        describe_field(dataset, "imported_label", "i", label_field=label_field)
        dataset.info["label_issues"] = {"label_field": label_field, "began": "2026"}
    found = columns_of(dataset, "own")
    assert (found.imported, found.checked_at) == ("imported_label", "2026")
    describe_field(dataset, "issue", "i")
    other = columns_of(dataset, "kind")
    assert (other.issue, other.imported, other.checked_at) == ("issue", None, "")
    assert {"issue", "imported_label", "review"} <= set(columns_of(dataset, "own").paths)
    dataset.info["label_issues"] = {"began": None}
    assert columns_of(dataset, "own").checked_at == ""


def test_classes_are_those_of_the_labels_and_all_that_are_listed(name):
    dataset = fo.Dataset(name)
    for number, label in enumerate(("b", "", None)):
        dataset.add_sample(fo.Sample(f"/{number}.png", own=fo.Classification(label=label)))
    assert classes_of(dataset, "own") == ["b"]
    dataset.default_classes = ["z"]
    assert classes_of(dataset, "own") == ["b", "z"]
    dataset.classes = {"own": ["c"], "other": ["d"]}
    assert classes_of(dataset, "own") == ["b", "c"]
    dataset.add_sample_field("imported_label", fo.StringField)
    dataset.set_values("imported_label", ["e", "b", None])
    assert classes_of(dataset, "own") == ["b", "c"]
    describe_field(dataset, "imported_label", "i", label_field="own")
    assert classes_of(dataset, "own") == ["b", "c", "e"]
    dataset.add_sample_field("seen", fo.StringField)
    for label_field, known, more in (
        ("own", ["b", "c", "f"], ["f"]),
        ("own", ["b", "f", "g"], []),  # as of a network that knows a thousand others
        ("other", ["b", "c", "f"], []),
    ):
        describe_field(dataset, "seen", "s", label_field=label_field, classes=known)
        assert classes_of(dataset, "own") == ["b", "c", "e", *more]


def test_a_review_begins_with_what_others_have_stored(name):
    dataset = make_reviewable(name)
    note = {"$set": {"info.note": "of another process"}}
    get_db_conn().datasets.update_one({"_id": dataset._doc.id}, note)
    assert "note" not in dataset.info
    with reviewing(dataset):
        assert dataset.info["note"] == "of another process"


def test_deleted_samples_have_no_card(name):
    dataset = make_reviewable(name)
    columns, ids = columns_of(dataset), dataset.values("id")
    dataset.delete_samples(ids[1])
    found = cards(dataset, columns, [ids[2], ids[1], ids[0]])
    assert [card["id"] for card in found] == [ids[2], ids[0]]
    facts = ("suggestion", "suggestion_confidence", "quality", "suspicious", "neighbors", "maps")
    assert [found[0][name] for name in facts] == [None, None, None, False, [], {}]
    assert [found[1][name] for name in facts] == ["dog", 0.9, 0.05, True, [], {}]


def test_labels_that_were_not_checked_are_sorted_by_their_score_or_else_as_they_come(name):
    dataset = make_reviewable(name)
    ids = dataset.values("id")

    def places(**chosen) -> list[int]:
        columns = columns_of(dataset)
        return [ids.index(i) for i in queued(dataset, columns, Filters(**chosen))]

    dataset.delete_sample_fields(["label_quality", "suggested_label"])
    scores = {ids[0]: 0.2, ids[1]: 0.6, ids[2]: 0.1}
    dataset.set_values("prediction.label_score", scores, key_field="id")
    assert places() == [2, 0, 1]  # what has no label is not asked for
    assert places(below=0.2) == [2]
    assert places(suggestion="dog") == places(kind="wrong label") == []
    assert len(queued(dataset, columns_of(dataset), Filters(), limit=2)) == 2
    assert sure_ids(dataset, columns_of(dataset)) == []
    dataset.delete_sample_field("prediction")
    assert places() == [0, 1, 2]
    assert places(below=0.2) == [0, 1, 2]  # there is nothing to compare with
