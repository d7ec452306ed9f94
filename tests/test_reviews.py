"""Decisions about labels: stored at once, undone exactly, kept by whatever happens to a dataset."""

import base64
import csv
import io
import re
import signal
from unittest.mock import Mock

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId
from conftest import save_digits
from forking import Python
from PIL import Image
from reviewable import CLASSES, at, make_reviewable, one, stored

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.contact_sheet import contact_sheet
from fiftyone_gradcam.dataset import decisions
from fiftyone_gradcam.dataset.evidence import evidence_in, predicted_in
from fiftyone_gradcam.dataset.prediction_fields import PREDICTION_ATTRIBUTES
from fiftyone_gradcam.dataset.review_state import Columns, classes_of, columns_of
from fiftyone_gradcam.dataset.storing import Declared, declare


@pytest.fixture
def dataset(name):
    return make_reviewable(name)


def test_accepting_changes_the_label_and_what_follows_from_stored_scores(dataset):
    before = one(dataset, 0)
    label_id, logits = before.own.id, before.prediction.logits.copy()
    (made,) = fg.review(at(dataset, 0), "accept")
    sample = dataset[made.sample_id]
    assert (sample.own.label, sample.own.id, sample.own.note) == ("dog", label_id, "n0")
    assert sample.own.tags == ["mine"]
    # cat had .2, dog has .7; what does not depend on the label stays
    assert sample.prediction.label_score == 0.7
    assert (sample.prediction.margin, sample.prediction.confidence) == pytest.approx((0.5, 0.7))
    np.testing.assert_array_equal(sample.prediction.logits, logits)
    assert sample.label_quality == 1.0
    assert sample.tags == ["train", "t0"]
    assert (made.decision, made.old_label, made.new_label) == ("accept", "cat", "dog")
    assert (made.suggestion, made.source, made.label_field) == ("dog", "Python", "own")
    said = "prediction: 'dog' with 70.0%; label quality 0.050; 'dog' suggested with 90.0%"
    assert made.evidence == said
    assert (sample.review.label, sample.review.old_label) == ("accept", "cat")
    assert sample.review.evidence == made.evidence
    assert sample.review.time == made.time
    # The one that was lowest is not on top of any list any more.
    assert fg.lowest_scores(dataset).values("filepath")[0] == "/1.png"
    assert dataset.exists("label_quality").sort_by("label_quality").first().filepath == "/1.png"


def test_evidence_names_the_kind_of_issue_once():
    columns = Columns("own", "own.label", {}, "label_quality", "suggested_label", "issue", None)
    for kind, said, words in (
        ("odd size", "odd size: 50 x 18 pixels; a .75", "odd size: 50 x 18 pixels; a .75"),
        ("wrong label", "a .9; odd size: 5 x 2", "wrong label: a .9; odd size: 5 x 2"),
    ):
        assert evidence_in({"issue": {"label": kind, "evidence": said}}, columns) == words


def test_evidence_of_a_decision_stays_when_labels_are_checked_again():
    columns = Columns(
        "own", "own.label", {"seen": ["cat", "dog", "bird"]}, "label_quality", None, None, None,
        checked_at="2026-02-02",
    )  # fmt: skip
    review = {"label_field": "own", "new_label": "cat", "time": "2026-01-01", "evidence": "why"}
    row = {"own": {"label": "cat"}, "label_quality": 1.0, "review": review}
    seen = row | {"seen_scores": [0.25, 0.125, 0.625]}
    assert evidence_in(row, columns) == evidence_in(seen, columns) == "why"
    assert predicted_in(row, columns) == ""
    assert predicted_in(seen, columns) == "seen: 'bird' with 62.5%"
    other = seen | {"own": {"label": "bird"}}  # changed since
    assert evidence_in(other, columns) == "label quality 1.000"
    for other in ({**review, "label_field": "another"}, None):
        found = evidence_in(seen | {"review": other}, columns)
        assert found == "seen: 'bird' with 62.5%; label quality 1.000"
    unlabeled = seen | {"own": None}
    assert predicted_in(unlabeled, columns) == ""


def test_each_decision_and_what_becomes_of_label_and_quality(dataset):
    for place, decision, label, expected in (
        (1, "keep", None, ("bird", 1.0)),
        (0, "unclear", None, ("cat", None)),
        (2, "exclude", None, ("cat", None)),
        (3, "relabel", "bird", ("bird", 1.0)),
    ):
        fg.review(at(dataset, place), decision, label)
        sample = one(dataset, place)
        assert (sample.own.label, sample.label_quality) == expected
        assert sample.review.label == decision
    found = [(x.decision, x.is_correction) for x in fg.list_reviews(dataset)]
    assert found == [("keep", False), ("unclear", False), ("exclude", False), ("relabel", True)]
    assert one(dataset, 3).prediction.label_score == 0.2
    fg.review(at(dataset, 3), "relabel", "wolf", new_class=True)
    assert one(dataset, 3).prediction.label_score is None  # the run knows no wolves


def test_labels_edited_elsewhere_are_corrections_too(digits, name):
    dataset = fg.import_folders(str(digits), name)
    assert dataset.count_values("imported_label") == dataset.count_values("ground_truth.label")
    ids = dataset.values("id")
    dataset.select(ids[:2]).set_values("ground_truth.label", ["digit 2", "digit 2"])
    sample = dataset[ids[2]]
    sample["ground_truth"] = fo.Classification(label="digit 1")
    sample.save()
    fg.review(dataset.select(ids[3]), "relabel", "digit 1")
    dataset[ids[3]].ground_truth.label = "digit 2"
    sample = dataset[ids[3]]
    sample.ground_truth.label = "digit 2"
    sample.save()
    found = {(x.sample_id, x.source): (x.old_label, x.new_label) for x in fg.list_reviews(dataset)}
    elsewhere = "edited outside of reviews"
    assert found == {
        (ids[0], elsewhere): ("digit 0", "digit 2"),
        (ids[1], elsewhere): ("digit 0", "digit 2"),
        (ids[2], elsewhere): ("digit 0", "digit 1"),
        (ids[3], "Python"): ("digit 0", "digit 1"),
        (ids[3], elsewhere): ("digit 1", "digit 2"),
    }
    fg.undo_review(dataset)  # all that were found in one look
    assert dataset.select(ids[:4]).values("ground_truth.label") == [
        *["digit 0"] * 3,
        "digit 1",
    ]
    assert len(fg.list_reviews(dataset)) == 1


def test_scores_follow_a_label_that_was_edited_elsewhere(dataset):
    fg.review(at(dataset, 0), "keep")
    dataset.set_values("own.label", {one(dataset, 0).id: "dog"}, key_field="id")
    assert one(dataset, 0).prediction.label_score == 0.2
    fg.list_reviews(dataset)
    assert one(dataset, 0).prediction.label_score == 0.7


def test_reviews_survive_import_rename_and_clone(digits, name):
    dataset = fg.import_folders(str(digits), name)
    for place, label in ((0, "digit 1"), (1, "digit 2")):
        fg.review(at(dataset, place), "relabel", label)
    facts = [(x.filepath, x.old_label, x.new_label, x.time) for x in fg.list_reviews(dataset)]
    again = fg.import_folders(str(digits), name)
    dataset.name = f"{name} renamed"
    copy = dataset.clone(f"{name} clone")
    try:
        for other in (again, dataset, copy):
            own = [(x.filepath, x.old_label, x.new_label, x.time) for x in fg.list_reviews(other)]
            assert own == facts
            assert other.match(fo.ViewField("ground_truth.label") == "digit 2").count() == 31
        fg.undo_review(copy, 2)
        assert set(copy.count_values("ground_truth.label").values()) == {30}
        assert len(fg.list_reviews(dataset)) == 2
    finally:
        copy.delete()
        dataset.name = name


def test_a_decision_is_whole_when_the_process_is_killed(dataset, name):
    code = f"""
import os, signal, fiftyone as fo, fiftyone_gradcam as fg
dataset = fo.load_dataset({name!r})
fg.review(dataset.limit(1), "accept")
fg.review(dataset.skip(1).limit(1), "keep")
os.kill(os.getpid(), signal.SIGKILL)
"""
    child = Python(code)
    printed = child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL, printed
    dataset.reload()
    assert [(x.decision, x.new_label) for x in fg.list_reviews(dataset)] == [
        ("accept", "dog"),
        ("keep", "bird"),
    ]
    assert one(dataset, 0).own.label == "dog"


def test_bad_decisions_change_nothing(dataset, name):
    before = stored(dataset)
    ids = dataset.values("id")
    for samples, decision, options, message in (
        (at(dataset, 0), "acept", {}, "not a decision. Did you mean 'accept'"),
        (at(dataset, 0), "relabel", {}, "needs label="),
        (at(dataset, 0), "keep", {"label": "dog"}, "cannot have a label"),
        (
            at(dataset, 0),
            "relabel",
            {"label": "cats"},
            "not a class of 'own' yet. Did you mean 'cat'",
        ),
        (at(dataset, 0), "relabel", {"label": "fox"}, "new_class=True"),
        (at(dataset, 0), "relabel", {"label": " "}, "must name a class"),
        (at(dataset, 1, 2), "accept", {}, "1 of 2 samples have no suggestion"),
        (at(dataset, 0), "keep", {"shown": "bird"}, "is 'cat', but was 'bird' when it was shown"),
        (at(dataset, 0, 1), "keep", {"shown": {ids[0]: "cat", ids[1]: "cat"}}, "1.png is 'bird'"),
        (dataset.select([ids[0], "0" * 24]), "keep", {}, "1 of 2 samples have been deleted"),
        (dataset.match_tags("none"), "keep", {}, "this view is empty"),
        (at(dataset, 0), "keep", {"label_field": "nope"}, "not a classification field"),
        (at(dataset, 0), "keep", {"label_field": "prediction"}, "no labels of your own"),
        (fo.Sample(filepath="/x.png"), "keep", {}, "not in a dataset"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            fg.review(samples, decision, **options)
        assert stored(dataset) == before
    for count in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="count must be a whole number"):
            fg.undo_review(dataset, count)
    with pytest.raises(TypeError, match="dataset or view"):
        fg.review([ids[0]], "keep")


def test_a_dataset_without_suggestions_says_so(digits, name):
    dataset = fg.import_folders(str(digits), name)
    with pytest.raises(ValueError, match=r"no suggestions.*find_label_issues\(\)"):
        fg.review(dataset.limit(1), "accept")


def test_a_new_class_is_one_from_then_on(digits, name):
    dataset = fg.import_folders(str(digits), name)
    assert dataset.active_label_schemas == ["ground_truth"]
    schema = dataset.label_schemas["ground_truth"]
    assert (schema["classes"], schema["component"]) == (["digit 0", "digit 1", "digit 2"], "radio")
    fg.review(at(dataset, 0), "relabel", "a <new>.$one", new_class=True)
    dataset.reload()
    classes = ["a <new>.$one", "digit 0", "digit 1", "digit 2"]
    assert dataset.label_schemas["ground_truth"]["classes"] == classes
    fg.review(at(dataset, 1), "relabel", "a <new>.$one")
    fg.review(at(dataset, 2), "relabel", "other", new_class=True)
    fg.undo_review(dataset, 2)  # the class is one as long as a label has it
    assert classes_of(dataset, "ground_truth") == classes
    assert dataset.label_schemas["ground_truth"]["classes"] == classes
    fg.undo_review(dataset)  # a misspelled one does not stay for ever
    assert classes_of(dataset, "ground_truth") == classes[1:]
    assert dataset.label_schemas["ground_truth"]["classes"] == classes[1:]
    # What was a class before the decision stays one, even if a decision had once added it.
    listed = [*classes, "rare"]
    dataset.update_label_schema(
        "ground_truth", {**dataset.label_schemas["ground_truth"], "classes": listed}
    )
    for label in ("rare", classes[0]):
        fg.review(at(dataset, 0), "relabel", label)
        fg.undo_review(dataset)
        assert dataset.label_schemas["ground_truth"]["classes"] == listed


def test_a_new_class_of_a_decision_that_was_cut_off_is_removed_with_it(digits, name, monkeypatch):
    dataset = fg.import_folders(str(digits), name)
    classes = dataset.label_schemas["ground_truth"]["classes"]
    with monkeypatch.context() as patched:
        patched.setattr(decisions, "write_decisions", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fg.review(at(dataset, 0), "relabel", "new", new_class=True)
    assert dataset.label_schemas["ground_truth"]["classes"] == [*classes, "new"]
    fg.review(at(dataset, 0), "relabel", "new", new_class=True)
    fg.undo_review(dataset)
    assert dataset.label_schemas["ground_truth"]["classes"] == classes


def test_classes_of_a_run_are_those_of_the_labels_if_it_shares_some(dataset):
    """Of the thousand classes of ImageNet one may be called so as well."""
    assert classes_of(dataset, "own") == CLASSES
    for field, classes in (("imagenet", ["cat", "tench"]), ("second", ["cat", "dog", "wolf"])):
        facts = {"run": field, "classes": classes, "label_field": "own"}
        declare(dataset, field, Declared("classification", "", facts, PREDICTION_ATTRIBUTES))
    assert classes_of(dataset, "own") == [*CLASSES, "wolf"]


def test_strings_are_labels_too(name):
    dataset = fo.Dataset(name)
    dataset.add_samples([fo.Sample(filepath=f"/{x}.png", kind=x) for x in "ab"])
    fg.review(dataset.limit(1), "relabel", "b", label_field="kind")
    assert dataset.values("kind") == ["b", "b"]
    fg.undo_review(dataset)
    assert dataset.values("kind") == ["a", "b"]


def test_reviews_are_exported(dataset, tmp_path, capsys):
    fg.review(at(dataset, 0), "accept")
    fg.review(at(dataset, 1), "unclear")
    path = fg.export_reviews(dataset, str(tmp_path / "new" / "reviews.csv"))
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["filepath"], r["decision"], r["old_label"], r["new_label"]) for r in rows] == [
        ("/0.png", "accept", "cat", "dog"),
        ("/1.png", "unclear", "bird", "bird"),
    ]
    with pytest.raises(FileExistsError, match="overwrite=True"):
        fg.export_reviews(dataset, path)
    with pytest.raises(IsADirectoryError, match=r"reviews\.csv"):
        fg.export_reviews(dataset, str(tmp_path))
    capsys.readouterr()
    fg.export_reviews(at(dataset, 0), path, overwrite=True)
    assert capsys.readouterr().out == f"1 decision written to {path}\n"
    with open(path, newline="", encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == 2


def test_datasets_of_earlier_versions_learn_their_imported_labels(tmp_path, name):
    root = save_digits(tmp_path / "digits", 6)
    dataset = fg.import_folders(str(root), name)
    dataset.delete_sample_field("imported_label")
    dataset.delete_label_schemas()
    sample = dataset.first()
    sample.ground_truth.label = "digit 2"
    sample.save()
    dataset = fg.import_folders(str(root), name)
    assert dataset.first().imported_label == "digit 0"
    assert [(x.old_label, x.new_label) for x in fg.list_reviews(dataset)] == [
        ("digit 0", "digit 2")
    ]
    assert dataset.active_label_schemas == ["ground_truth"]


def test_a_sheet_of_suggestions_has_unreadable_images_in_gray_and_no_deleted_ones(dataset):
    ids = [*dataset.values("id")[:2], str(ObjectId())]  # one was deleted since it was asked for
    text = contact_sheet(dataset, columns_of(dataset), ids).removeprefix("data:image/webp;base64,")
    found = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")
    assert found.width == 2 * (96 + 8) + 8
    centers = [found.getpixel((8 + 48 + place * 104, 8 + 48)) for place in range(2)]
    assert np.abs(np.array(centers) - 128).max() <= 3
