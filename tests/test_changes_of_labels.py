"""What reviews have changed since a run was trained, in words: with runs that nobody trained."""

from dataclasses import replace

import fiftyone as fo
import pytest
from reviewable import LABELS, make_reviewable

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.changed_labels import Changes
from fiftyone_gradcam.dataset.label_schema import (
    activate_labels,
    add_classes,
    keep_imported_labels,
    remove_unused_classes,
    set_classes,
)
from fiftyone_gradcam.dataset.labels_before import (
    has_corrections,
    labels_before,
    labels_to_learn,
)
from fiftyone_gradcam.dataset.learned import learned_words
from fiftyone_gradcam.dataset.run import BEFORE_REVIEW, CURRENT, Run

AGO = "2020-01-01T00:00:00"


@pytest.fixture
def dataset(name):
    """Four samples that are tagged "train"; their labels: cat, bird, cat and none."""
    return make_reviewable(name)


def run_of(time: str | None, **facts) -> Run:
    return Run("r", "", [], {}, [], 0, "own", "", basis={"at": time}, **facts)


def test_what_reviews_have_changed_is_counted_from_the_training_on(dataset):
    since = Changes.of(dataset, run_of(AGO), CURRENT)
    words = "No label was corrected since run 'r' was trained"
    note = f"{words}, so this does not show whether corrections help"
    assert (since.words, since.notes) == (words, [note])
    ids = dataset.values("id")
    dataset.select(ids[1]).untag_samples("train")
    fg.review(dataset.select(ids[0]), "relabel", "dog")
    since = Changes.of(dataset, run_of(AGO), CURRENT)
    learned = "only these change what the network learns. Both runs are compared with the corrected"
    assert since.words == "Since run 'r' was trained, 1 label was corrected"
    assert since.notes == [
        f"1 of 1 corrected label is of a sample tagged 'train': {learned} labels"
    ]
    fg.review(dataset.select(ids[1]), "relabel", "cat")
    time = fg.list_reviews(dataset)[-1].time
    fg.review(dataset.select(ids[2]), "exclude")
    dataset.set_values("text", ["a"] * 4)
    fg.review(dataset.select(ids[3]), "exclude", label_field="text")  # is not what it learned
    since = Changes.of(dataset, run_of(AGO), CURRENT)
    assert since.words == (
        "Since run 'r' was trained, 2 labels were corrected and 1 sample was excluded or marked "
        "unclear"
    )
    assert since.notes[0].startswith("1 of 2 corrected labels is of a sample tagged 'train': ")
    # What was decided at that time was read by the training.
    since = Changes.of(dataset, run_of(time), CURRENT)
    words = "Since run 'r' was trained, 1 sample was excluded or marked unclear"
    assert (since.words, since.notes) == (words, [])
    last = fg.list_reviews(dataset)[-1].time
    assert Changes.of(dataset, run_of(last), CURRENT).words.startswith("No label was corrected")
    unknown = run_of(None)
    assert Changes.of(dataset, unknown, CURRENT).words.startswith("Since run 'r' was trained, 2")
    other = replace(unknown, label_field="prediction_scores")
    assert learned_words(dataset, other) == ""
    assert learned_words(dataset, replace(unknown, basis=None)) == ""
    assert learned_words(dataset, run_of(time)) == "after 2 corrections"
    assert learned_words(dataset, run_of(last)) == "after 2 corrections, 1 sample left out"
    assert learned_words(dataset, run_of(AGO)) == "before any correction"


def test_labels_before_review_are_another_training_only_if_the_run_has_seen_corrections(dataset):
    ids = dataset.values("id")
    assert not has_corrections(dataset, "own")
    fg.review(dataset.select(ids[0]), "keep")
    assert not has_corrections(dataset, "own")
    message = (
        "No label in 'own' was changed by a review, so the labels before review are the current "
        "ones. Use labels='current'"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        labels_to_learn(dataset, "own", BEFORE_REVIEW)
    fg.review(dataset.select(ids[0]), "relabel", "dog")
    assert has_corrections(dataset, "own")
    assert not has_corrections(dataset, "prediction")
    first = fg.list_reviews(dataset)[-1].time
    fg.review(dataset.select(ids[1]), "relabel", "cat")
    fg.review(dataset.select(ids[3]), "relabel", "cat")
    before = dict(zip((ids[0], ids[1], ids[3]), ("cat", "bird", None), strict=True))
    assert labels_before(dataset, "own") == before
    assert labels_before(dataset, "own", first) == {ids[1]: "bird", ids[3]: None}
    assert labels_to_learn(dataset, "own", BEFORE_REVIEW) == before
    assert labels_to_learn(dataset, "own", CURRENT) == {}
    seen = Changes.of(dataset, run_of(first), BEFORE_REVIEW)
    assert seen.words == "1 label was corrected before run 'r' was trained"
    assert seen.notes[0].startswith("1 of 1 corrected label is of a sample tagged 'train': ")
    seen = Changes.of(dataset, run_of(fg.list_reviews(dataset)[-1].time), BEFORE_REVIEW)
    assert seen.words == "3 labels were corrected before run 'r' was trained"
    assert seen.notes[0].startswith("3 of 3 corrected labels are of samples tagged 'train': ")
    for time in (AGO, None):
        message = "^Run 'r' was trained before labels were corrected, so it shows already what the "
        with pytest.raises(ValueError, match=message):
            Changes.of(dataset, run_of(time), BEFORE_REVIEW)
    for labels in (CURRENT, BEFORE_REVIEW):
        with pytest.raises(ValueError, match="^Run 'r' was trained on the labels before review"):
            Changes.of(dataset, run_of(AGO, labels=BEFORE_REVIEW), labels)
    with pytest.raises(ValueError, match="^labels must be 'current' or 'before_review', not 'x'.$"):
        labels_to_learn(dataset, "own", "x")
    # Other fields have labels of their own; what was edited elsewhere is found.
    dataset.set_values("text", ["a"] * 4)
    fg.review(dataset.select(ids[2]), "relabel", "b", label_field="text", new_class=True)
    assert labels_before(dataset, "own") == before
    assert labels_before(dataset, "text") == {ids[2]: "a"}
    fg.undo_review(dataset)
    last = max(filter(None, dataset.values("review.time")))
    dataset.set_values("own.label", {ids[1]: "dog"}, key_field="id")
    assert labels_before(dataset, "own", last) == {ids[1]: "cat"}
    fg.undo_review(dataset, 5)
    assert dataset.values("own.label") == LABELS
    assert labels_before(dataset, "own") == {}


def schema_of(dataset) -> dict:
    dataset.reload()
    return dataset.label_schemas.get("own") or {}


def test_a_schema_lists_the_classes_that_labels_have_or_had(dataset):
    add_classes(dataset, "own", ["cow"])  # there is no schema to add them to
    assert schema_of(dataset) == {}
    activate_labels(dataset, "prediction")
    activate_labels(dataset, "own")
    assert (schema_of(dataset)["classes"], schema_of(dataset)["component"]) == (
        ["bird", "cat"],
        "radio",
    )
    assert dataset.active_label_schemas == ["own", "prediction"]
    dataset.deactivate_label_schemas("own")
    add_classes(dataset, "own", ["e", "d", "cat"])
    sample = dataset.last()
    sample["own"] = fo.Classification(label="f")
    sample.save()
    activate_labels(dataset, "own")  # adds classes, and is not done twice
    assert schema_of(dataset)["classes"] == ["bird", "cat", "d", "e", "f"]
    assert schema_of(dataset)["component"] == "radio"  # five of them
    assert dataset.active_label_schemas == ["prediction"]
    add_classes(dataset, "own", ["g"], in_review=True)
    found = schema_of(dataset)
    assert (found["classes"], found["component"]) == (
        ["bird", "cat", "d", "e", "f", "g"],
        "dropdown",
    )
    assert dataset.info["review_classes"] == {"own": ["g"]}
    add_classes(dataset, "own", ["cat"], in_review=True)  # it was there before
    add_classes(dataset, "own", ["h", "g"], in_review=True)
    dataset.info["review_classes"]["other"] = ["x"]
    dataset.save()
    sample = dataset.first()
    sample["own"].label = "h"
    sample.save()
    remove_unused_classes(dataset, "own", {"cat", "d", "g", "h", "unknown"})
    assert schema_of(dataset)["classes"] == ["bird", "cat", "d", "e", "f", "h"]
    assert dataset.info["review_classes"] == {"own": ["h"], "other": ["x"]}
    set_classes(dataset, "own", schema_of(dataset), [])
    assert "classes" not in schema_of(dataset)
    add_classes(dataset, "own", ["cat"])  # labels are typed: no classes are listed
    remove_unused_classes(dataset, "own", {"h"})
    assert "classes" not in schema_of(dataset)


def test_imported_labels_are_kept_once(dataset):
    paths = dataset.values("filepath")
    labels = dict(zip(paths, ["cat", "bird", None, "cow"], strict=True)) | {"/new.png": "bird"}
    del labels[paths[2]]
    keep_imported_labels(dataset, "own", labels)
    assert dataset.values("imported_label") == ["cat", "bird", None, "cow"]
    field = dataset.get_field("imported_label")
    assert field.description == "The label of 'own' as it was imported"
    assert field.info["label_field"] == "own"
    keep_imported_labels(dataset, "own", dict.fromkeys(paths, "dog"))
    assert dataset.values("imported_label") == ["cat", "bird", None, "cow"]
    # A field that the user made stays as it is, unless its values are those of the folders.
    for values, is_ours in (
        (["cat", "bird", None, None], True),
        (["cat", "dog", None, None], False),
        ([None] * 4, False),
    ):
        dataset.delete_sample_field("imported_label")
        dataset.add_sample_field("imported_label", dataset.get_field("filepath").__class__)
        dataset.set_values("imported_label", values)
        keep_imported_labels(dataset, "own", labels)
        assert (dataset.get_field("imported_label").description is not None) is is_ours
        assert dataset.values("imported_label") == values
    dataset.set_values("imported_label", ["cat", None, None, None])
    for description, info in (("mine", None), (None, {"mine": 1})):
        field = dataset.get_field("imported_label")
        field.description, field.info = description, info
        field.save()
        keep_imported_labels(dataset, "own", labels)
        field = dataset.get_field("imported_label")
        assert (field.description, field.info) == (description, info)
