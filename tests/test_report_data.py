"""What a report is made of, from samples without images."""

import os

import fiftyone as fo
import pytest
from made_runs import HISTORY

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import runs
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.prediction_fields import HEATMAP_ATTRIBUTES
from fiftyone_gradcam.dataset.report_data import data_of, import_root, shown_file, training_of
from fiftyone_gradcam.dataset.report_labels import suspects_of
from fiftyone_gradcam.dataset.report_results import (
    field_of,
    heatmap_field_of,
    mistakes_of,
    results_of,
    shown_run,
)
from fiftyone_gradcam.dataset.review_state import columns_of
from fiftyone_gradcam.dataset.reviews import Review
from fiftyone_gradcam.dataset.since_judged import basis_of_issues
from fiftyone_gradcam.dataset.storing import Declared, declare
from fiftyone_gradcam.reports.facts import Data

#        label, prediction, tags
ROWS = [
    ("b", "b", ["train"]),
    ("a", "b", ["train", "mine"]),
    ("a", "a", ["test"]),
    (None, "a", ["fold_1"]),
    ("", None, []),
    ("b", None, []),
]


@pytest.fixture
def dataset(name):
    made = fo.Dataset(name)
    samples = [fo.Sample(f"/gone/{number}.png", tags=row[2]) for number, row in enumerate(ROWS)]
    for number, (sample, row) in enumerate(zip(samples, ROWS, strict=True)):
        sample["own"] = None if row[0] is None else fo.Classification(label=row[0])
        sample["found"] = row[1] and fo.Classification(label=row[1], confidence=number / 8)
    made.add_samples(samples, dynamic=True)
    made.info["splits"] = {"fractions": {"fold_1": 0.5}}
    made.save()
    return made


def test_samples_are_counted_by_class_and_split(dataset):
    facts = {
        "label_field": "own", "samples": 6, "unlabeled": 2, "parts": ["train", "test", "fold_1"],
        "counts": {"a": {"train": 1, "test": 1}, "b": {"train": 1, "": 1}},
    }  # fmt: skip
    assert data_of(dataset, "own") == Data(**facts)
    assert list(data_of(dataset, "own").counts) == ["a", "b"]
    nothing = Data("", 6, 6, facts["parts"], {})
    assert data_of(dataset, None) == nothing
    assert import_root(dataset) is None
    # The files that an import left out are those of the whole dataset.
    dataset.info["import_folders"] = {
        "path": "/data", "layout": "flat", "passed_over": {"videos": 2}, "skipped": {"empty": 22},
        "skipped_files": [[f"/data/{n}.png", "empty"] for n in range(22)],
        "duplicates": [["x", "y"], ["z", "w"]], "contradictions": [["x", "y"]],
    }  # fmt: skip
    of_import = {"folder": "/data", "layout": "flat"}
    assert data_of(dataset, "own") == Data(
        **facts, **of_import, skipped={"videos": 2}, left_out={"empty": 22}, equal=2,
        contradictions=1, left_out_files=[(f"{n}.png", "empty") for n in range(20)],
    )  # fmt: skip
    assert data_of(dataset.limit(1), "own") == Data(
        "own", 1, 0, ["train"], {"b": {"train": 1}}, **of_import
    )
    assert import_root(dataset) == "/data"


@pytest.mark.parametrize(
    ("path", "root", "shown"),
    [
        ("/data/a/b/1.png", "/data", "a/b/1.png"),
        ("/data/a/b/1.png", "/data/", "a/b/1.png"),
        ("/data2/a/b/1.png", "/data", "b/1.png"),
        ("/data/a/b/1.png", None, "b/1.png"),
        ("/data/a/b/1.png", "", "b/1.png"),
    ],
)
def test_a_file_is_named_from_the_folder_of_the_import_on(path, root, shown):
    assert shown_file(path, root) == os.path.normpath(shown)


def test_results_are_of_the_test_samples_or_else_of_those_for_validation(dataset):
    def compared(samples) -> tuple:
        results, _ = results_of(samples, "own", "found")
        return results.of, results.names, results.matrix.tolist(), results.notes

    assert compared(dataset) == ("the samples tagged 'test'", ["a"], [[1]], [])
    two = dataset.match_tags(["train", "test"])
    learned = "2 of the samples are tagged 'train': the network may have been trained on them"
    of_all = ("all of these samples", ["a", "b"], [[1, 1], [0, 1]])
    assert compared(two) == (*of_all, [learned])
    ids = dataset.values("id")
    for tags, of in ((["val"], "the samples tagged 'val'"), ([], "all of these samples")):
        sample = dataset[ids[2]]
        sample.tags = tags
        sample.save()
        assert compared(dataset)[0] == of
    assert compared(dataset) == (*of_all, [learned])
    dataset.set_values("review", {ids[0]: fo.Classification(label="unclear")}, key_field="id")
    out = "Left out by reviews: 1 unclear"
    learned = learned.replace("2 of", "1 of")
    assert compared(dataset) == (of_all[0], ["a", "b"], [[1, 1], [0, 0]], [out, learned])
    assert results_of(dataset.skip(3), "own", "found") is None


def test_mistakes_are_listed_by_class_with_at_most_five_of_four_classes(name):
    made = fo.Dataset(name)
    rows = [(label, "x", n) for label in "abcde" for n in range(6)]
    rows += [(label, label, 9) for label in "abcde" for _ in range("abcde".index(label))]
    for label, seen, number in rows:
        sample = fo.Sample(
            f"/gone/{label}{seen}{len(made)}.png", own=fo.Classification(label=label)
        )
        sample["found"] = fo.Classification(label=seen, confidence=number / 10)
        made.add_sample(sample)
    results, judged = results_of(made, "own", "found")
    found = mistakes_of(judged, results, "own", "found")
    assert list(found) == ["a", "b", "c", "d"]
    assert [one.score for one in found["b"]] == [0.5, 0.4, 0.3, 0.2, 0.1]
    assert {(one.label, one.predicted) for one in found["b"]} == {("b", "x")}


def make_record(dataset, key: str) -> runs.Run:
    """A record of a run without files."""
    recipe = {"backbone": "small_cnn", "epochs": 3, "weights": "/home/me/weights.pth"}
    own = ["a", "b"], recipe, HISTORY, 1, "own", "/gone.pt"
    return runs.save_run(dataset, runs.Run(key, dataset.name, *own))


def test_a_report_is_about_the_newest_run_with_predictions(dataset):
    assert shown_run(dataset, None) is None
    older, newer = (make_record(dataset, key) for key in ("older", "newer"))
    assert shown_run(dataset, None).key == "newer"  # of two without predictions
    found = training_of(dataset, older)
    assert found.recipe == {"backbone": "small_cnn", "epochs": 3, "weights": "weights.pth"}
    assert (found.others, found.classes, found.history) == (["newer"], 2, HISTORY)
    assert training_of(dataset, None) is None
    # What was corrected when a run was recorded, that run has learned.
    own = ("1", "/1.png", "relabel", "a", "b", "own", "Python")
    for time, corrected, retrained in (
        (older.trained, 0, None),
        (f"{older.trained}0", 1, "newer"),
        (newer.trained, 1, None),
    ):
        found = training_of(dataset, older, [Review(*own, time, "", None, "step")])
        assert (found.corrected, found.retrained) == (corrected, retrained)
    facts = {"label_field": "own", "classes": ["a", "b"]}
    describe_field(dataset, "found", "p", run="older", version=older.version, **facts)
    assert (field_of(dataset, older), field_of(dataset, newer)) == ("found", None)
    assert shown_run(dataset, None).key == "older"
    assert shown_run(dataset, "newer").key == "newer"
    assert shown_run(dataset, older) is older
    describe_field(dataset, "found", "p", run="older", version="another", **facts)
    assert field_of(dataset, older) is None
    assert shown_run(dataset, None).key == "newer"
    # Without a run, predictions count whose classes are those of the labels.
    for label_field, classes, field in (
        ("own", ["a", "b"], "found"),
        ("own", ["b", "cat", "dog"], None),
        ("own", None, None),
        ("gone", ["a", "b"], None),
        (None, ["a", "b"], None),
    ):
        own = {"label_field": label_field, "classes": classes}
        describe_field(dataset, "found", "p", run="imagenet", **own)
        assert field_of(dataset, None) == field


def test_the_heatmaps_of_a_report_are_those_of_its_predictions(dataset):
    assert heatmap_field_of(dataset, "found") is None
    for name, kind, of in (
        ("cam_1", "label", "found"),
        ("cam_2", "predicted", "other"),
        ("cam_3", "predicted", "found"),
    ):
        info = {"kind": kind, "prediction_field": of}
        declare(dataset, name, Declared("heatmap", "", info, HEATMAP_ATTRIBUTES))
    assert heatmap_field_of(dataset, "found") == "cam_3"


def test_suspicious_labels_that_are_not_reviewed_are_listed_with_the_lowest_quality_first(dataset):
    def found(samples, most: int = 9) -> tuple:
        one = suspects_of(samples, columns_of(dataset, "own"), most)
        return one.words, one.progress, one.total, one.kinds, [x.file for x in one.shown]

    assert suspects_of(dataset, columns_of(dataset, "own"), 9) is None  # they were never checked
    facts = {"label_field": "own"}
    declare(dataset, "label_quality", Declared("float", "", facts, {}))
    dataset.set_values("label_quality", [0.4, 0.2, 0.6, 0.95, None, 0.9])
    files = [os.path.join("gone", f"{number}.png") for number in range(6)]
    # Without suggestions and kinds, these are all that were checked.
    assert found(dataset)[2:] == (5, {}, [files[n] for n in (1, 0, 2, 5, 3)])
    row, *_, last = suspects_of(dataset, columns_of(dataset, "own"), 9).shown
    assert (row.label, row.quality, row.suggestion, row.confidence) == ("a", 0.2, None, None)
    assert (row.evidence, row.sure, last.label) == ("", False, "no label")
    declare(dataset, "suggested_label", Declared("classification", "", facts, {}))
    declare(dataset, "issue", Declared("classification", "", facts, {"evidence": "text"}))
    other = fo.Classification(label="c", confidence=0.75)
    dataset.set_values("suggested_label", [other, other, None, None, None, None])
    kinds = ["wrong label", "wrong label", "poor image", None, None, "equal files, two labels"]
    issues = [kind and fo.Classification(label=kind, evidence="why", sure=True) for kind in kinds]
    dataset.set_values("issue", issues, dynamic=True)
    counts = {"wrong label": 2, "poor image": 1, "equal files, two labels": 1}
    shown = [files[n] for n in (1, 0, 5)]
    words = "3 suspicious labels: 0 reviewed, 3 left; 0 corrected so far"
    assert found(dataset) == ("", words, 3, counts, shown)
    assert found(dataset, 2)[2:] == (3, counts, shown[:2])
    assert found(dataset.limit(2)) == ("", "", 2, {"wrong label": 2}, shown[:2])
    dataset.info["label_issues"] = {"estimate": 1, "judged": 4, "low": 0, "high": 3}
    dataset.save()
    estimate = "About 1 of 4 labels is wrong (95% interval: 0 to 3)"
    assert found(dataset)[0] == estimate
    assert found(dataset.limit(2))[0] == ""
    dataset.info["label_issues"]["label_field"] = "another"
    dataset.save()
    assert found(dataset)[0] == ""
    (_, row, _) = suspects_of(dataset, columns_of(dataset, "own"), 9).shown
    assert (row.label, row.quality, row.suggestion, row.confidence) == ("b", 0.4, "c", 0.75)
    assert (row.evidence, row.sure, row.picture) == ("wrong label: why", True, None)
    noted = {"estimate": 1, "judged": 4, "low": 0, "high": 3, "label_field": "own"}
    basis = basis_of_issues(dataset, "own", "label_quality", {}, "2000", False)
    dataset.info["label_issues"] = {**noted, "fields": ["label_quality"], **basis}
    dataset.save()
    assert found(dataset)[0] == estimate
    fg.review(dataset.skip(1).limit(1), "accept", label_field="own")
    assert found(dataset)[0] == f"{estimate}; since then 1 label was corrected"
    assert found(dataset)[2:] == (2, {"wrong label": 1, "poor image": 1, kinds[5]: 1}, shown[1:])
