"""The counts that the steps rest on, of a real dataset."""

import os

import fiftyone as fo
import numpy as np
import pytest
from made_runs import HISTORY, make_run, some_digits
from overviews import said_of

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.panels.next_step import next_steps
from fiftyone_gradcam.dataset import overview as of_dataset
from fiftyone_gradcam.dataset import runs
from fiftyone_gradcam.dataset.evaluation import count_mistakes
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.files import run_folder
from fiftyone_gradcam.dataset.overview import Overview, overview
from fiftyone_gradcam.dataset.review_counts import ReviewCounts
from fiftyone_gradcam.dataset.review_queue import Filters, queue
from fiftyone_gradcam.dataset.runs import newest_run


@pytest.fixture
def dataset(tmp_path, name):
    yield from some_digits(tmp_path / "digits", name, per_class=6)


def test_the_counts_of_a_real_dataset(dataset, name):
    found = overview(dataset)
    classes = {"digit 0": 6, "digit 1": 6, "digit 2": 6}
    assert (found.samples, found.label_field, found.classes) == (18, "ground_truth", classes)
    assert (found.parts, found.runs, found.predicted, found.judged) == ({}, {}, {}, False)
    fg.review(dataset.limit(1), "relabel", "digit 1")
    found = overview(dataset)  # what no run has learned from is none that a run has yet to learn
    assert (found.review, found.corrected_since) == (ReviewCounts(False, 0, 17, 0, 1, 1), 0)
    fg.undo_review(dataset)
    ids = dataset.values("id")
    dataset.set_values("tags", [["test" if n in (1, 7, 13) else "train"] for n in range(18)])
    make_run(dataset, "first", files=False)
    fg.predict(dataset.match_tags("train"), "first", heatmaps=())
    labels = np.repeat([0, 1, 2], 6)
    likely = np.full((18, 3), 0.05)
    likely[np.arange(18), labels] = 0.9
    likely[[0, 17]] = [[0.05, 0.9, 0.05], [0.9, 0.05, 0.05]]
    fg.find_label_issues(dataset, probabilities=likely)
    fg.review(dataset.select(ids[0]), "accept")
    fg.review(dataset.select(ids[9]), "exclude")
    fg.review(dataset.select(ids[1]), "keep")
    found = overview(dataset)
    train = dataset.count_sample_tags()["train"]
    assert found.parts == dataset.count_sample_tags()
    assert found.predicted == {"prediction": ("first", True, train)}
    assert found.predicted_by("first") == train
    # Samples 0 and 17 are suspicious. 0 is corrected; 1 and 9 are others.
    expected = found.review.expected
    assert found.judged
    assert found.review == ReviewCounts(True, 1, 18 - 3 - 1, 1, 2, 1, expected)
    left = queue(dataset, None, Filters(), 2)  # the same labels are in the Review tab
    assert len(left["cards"]) + left["rest"] == 1 + 14
    assert (found.corrected_since, found.learned) == (2, 0)  # one corrected, one excluded
    assert found.corrected_first == 0
    assert not said_of(found)["Retrain"].done
    assert found.classes == {"digit 0": 5, "digit 1": 7, "digit 2": 6}
    make_run(dataset, "second", seed=1, files=False)
    found = overview(dataset)
    assert (list(found.runs), found.newest_run) == (["first", "second"], "second")
    assert (found.corrected_since, found.learned, found.predicted_by("second")) == (0, 2, 0)
    assert said_of(found)["Retrain"].done
    dataset.delete_run("first")
    # A run of the same name that was trained again has predicted nothing.
    make_run(dataset, "first", seed=2, files=False)
    found = overview(dataset)
    assert found.predicted == {"prediction": ("first", False, train)}
    assert found.predicted_by("first") == 0
    # Views change nothing; fields with other names are followed.
    assert overview(dataset[:3]._root_dataset) == found
    dataset.rename_sample_field("ground_truth", "truth")
    found = overview(dataset)
    assert (found.label_field, found.labeled) == ("truth", 18)
    assert (found.judged, found.review.suspicious) == (False, 0)  # of a field that is gone


def test_labels_of_test_images_change_no_training_and_left_out_ones_are_no_mistakes(dataset):
    ids = dataset.values("id")
    dataset.set_values("tags", [["test" if n in (1, 7, 13) else "train"] for n in range(18)])
    make_run(dataset, "first", files=False)
    fg.predict(dataset, "first", heatmaps=())

    def counts(predictions: str = "prediction") -> tuple[int, int]:
        found = overview(dataset)
        wrong = len(fg.mistakes(dataset, predictions))
        assert found.mistakes == wrong == count_mistakes(dataset, predictions)
        return found.corrected_since, wrong

    labels, seen = (dataset.values(f"{x}.label") for x in ("ground_truth", "prediction"))
    wrong = [place for place in range(18) if seen[place] != labels[place]]
    assert counts() == (0, len(wrong))
    right = next(place for place in range(18) if place not in wrong)
    other = next(x for x in ("digit 0", "digit 1") if x != labels[right])
    for tag, learned in (("test", 0), ("val", 1), ("train", 1)):
        sample = dataset[ids[right]]
        sample.tags = [tag]
        sample.save()
        fg.review(dataset.select(ids[right]), "relabel", other)
        assert counts() == (learned, len(wrong) + 1)
        fg.undo_review(dataset)
    for number, decision in enumerate(("exclude", "unclear"), 1):
        fg.review(dataset.select(ids[wrong[number]]), decision)
        assert counts()[1] == len(wrong) - number
    assert len(fg.mistakes(dataset, include_excluded=True)) == len(wrong)
    make_run(dataset, "second", seed=1, files=False)
    assert overview(dataset).mistakes == 0  # it has predicted nothing


def test_a_run_on_the_labels_before_review_is_not_the_newest(dataset):
    make_run(dataset, "first", files=False)
    ids = dataset.values("id")
    fg.review(dataset.select(ids[0]), "relabel", "digit 1")
    fg.review(dataset.select(ids[9]), "exclude")
    make_run(dataset, "second", seed=1, files=False)
    make_run(dataset, "before", files=False, labels="before_review")
    found = overview(dataset)
    assert (list(found.runs), found.before_review) == (["first", "second"], ["before"])
    assert (found.newest_run, newest_run(dataset)) == ("second", "second")
    assert (found.corrected_since, found.learned, found.corrected_first) == (0, 2, 0)
    dataset.delete_run("first")
    found = overview(dataset)  # what was excluded is not counted
    assert (found.corrected_since, found.learned, found.corrected_first) == (0, 0, 1)
    dataset.delete_run("second")
    assert (overview(dataset).newest_run, newest_run(dataset)) == (None, "before")


def test_fields_of_text_are_no_classes_until_a_verb_has_used_them(name):
    dataset = fo.Dataset(name)
    dataset.add_samples([fo.Sample(filepath=f"/{n}.png", camera="left") for n in range(3)])
    assert overview(dataset).label_field is None
    assert next_steps(overview(dataset))[0].verb == "import_folders"
    assert overview(dataset).samples == 3


@pytest.mark.slow
def test_a_hundred_thousand_samples_are_counted_in_a_moment(name, capsys):
    import time

    from fiftyone_gradcam.dataset.fields import describe_field
    from fiftyone_gradcam.dataset.freshness import stale_values

    dataset = fo.Dataset(name)
    classes = [f"class {number:03d}" for number in range(100)]
    sample = fo.Sample(filepath="/0.png", ground_truth=fo.Classification(label=classes[0]))
    sample["prediction"] = fo.Classification(label=classes[0], confidence=0.5, label_score=0.5)
    sample["prediction_scores"] = [0.5, *[0.5 / 99] * 99]
    sample["label_quality"] = 0.5
    sample["suggested_label"] = fo.Classification(label=classes[1])
    dataset.add_samples([sample], dynamic=True)
    facts = {"run": "r", "label_field": "ground_truth", "classes": classes}
    describe_field(dataset, "prediction", "p", **facts)
    for field in ("label_quality", "suggested_label"):
        describe_field(dataset, field, "q", label_field="ground_truth")
    (row,) = dataset._sample_collection.find({})
    rows = []
    for number in range(99_999):
        own = {**row, "filepath": f"/{number + 1}.png", "tags": ["train"]}
        own.pop("_id")
        own["ground_truth"] = {**row["ground_truth"], "label": classes[number % 100]}
        own["suggested_label"] = row["suggested_label"] if number % 50 == 0 else None
        rows.append(own)
    dataset._sample_collection.insert_many(rows)

    def seconds(function) -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    counted = min(seconds(lambda: overview(dataset)) for _ in range(3))
    plain = min(seconds(lambda: dataset.count_values("ground_truth.label")) for _ in range(3))
    looked = min(seconds(lambda: stale_values(dataset)) for _ in range(3))
    words = f"overview {counted:.2f} s, stale {looked:.2f} s, a plain count {plain:.2f} s"
    with capsys.disabled():
        print(f"\n100,000 samples: {words}")
    found = overview(dataset)
    assert (found.samples, len(found.classes), found.parts) == (100_000, 100, {"train": 99_999})
    assert (found.review.left, found.predicted["prediction"][2]) == (2001, 100_000)
    # One in a hundred has the label that the stored score is of.
    (scores,) = [one for one in stale_values(dataset) if one.kind == "label scores"]
    assert scores.why == "98999 labels have changed since"
    assert counted < 20 * plain


def test_the_predictions_of_a_run_are_those_of_its_fullest_field():
    found = Overview(
        predicted={
            "one": ("r", True, 3), "two": ("r", True, 5), "earlier": ("r", False, 9),
            "of another": ("s", True, 8),
        }
    )  # fmt: skip
    assert [found.predicted_by(run) for run in ("r", "s", "t", None)] == [5, 8, 0, 0]


def test_an_empty_label_is_no_class(name):
    own = fo.Dataset(name)
    for number, label in enumerate(("a", "", None, "a", "b")):
        made = None if label is None else fo.Classification(label=label)
        own.add_sample(fo.Sample(f"/{number}.png", own=made))
    found = overview(own)
    assert (found.classes, found.labeled, found.samples) == ({"a": 2, "b": 1}, 3, 5)


def test_features_of_pixels_alone_find_no_label_issues(name, tmp_path, monkeypatch):
    monkeypatch.setattr(of_dataset, "dataset_folder", lambda dataset: str(tmp_path))
    monkeypatch.setattr(of_dataset, "cached_weights", lambda backbone: [])
    own = fo.Dataset(name)
    assert not of_dataset.has_features(own)
    (tmp_path / of_dataset.FEATURES / "pixels-1").mkdir(parents=True)
    assert not of_dataset.has_features(own)
    (tmp_path / of_dataset.FEATURES / "0123abc").mkdir()
    assert of_dataset.has_features(own)


def test_mistakes_are_those_of_the_newest_run_in_the_field_that_has_most(name):
    dataset = fo.Dataset(name)
    seen = {  # by field: the run, whether it is its current version, and the predictions
        "one": ("new", True, "abbb"), "most": ("new", True, "bbbb"), "equal": ("new", True, "bbaa"),
        "older": ("old", True, "bbaa"), "before": ("new", False, "bbaa"),
        "another": ("new", True, "bbaa"),
    }  # fmt: skip
    for number, label in enumerate("aab-"):
        sample = fo.Sample(
            f"/{number}.png", own=None if label == "-" else fo.Classification(label=label)
        )
        for field, (_, _, predicted) in seen.items():
            sample[field] = fo.Classification(label=predicted[number])
        dataset.add_sample(sample)
    recipe = {"backbone": "small_cnn", "epochs": 5}
    own = (dataset.name, ["a", "b"], recipe, HISTORY, 2, "own", "/gone.pt")
    versions = {
        key: runs.save_run(dataset, runs.Run(key, *own, canceled=True)).version
        for key in ("old", "new")
    }
    for field, (key, is_now, _) in seen.items():
        facts = {"run": key, "version": versions[key] if is_now else "earlier"}
        about = "other" if field == "another" else "own"
        describe_field(dataset, field, "p", **facts, label_field=about, classes=["a", "b"])
    found = overview(dataset)
    assert found.predicted == {field: (key, now, 4) for field, (key, now, _) in seen.items()}
    assert (found.mistakes, found.mistaken_field) == (3, "equal")
    dataset.delete_sample_field("equal")
    assert (overview(dataset).mistakes, overview(dataset).mistaken_field) == (2, "most")
    dataset.delete_sample_fields(["most", "one"])
    assert (overview(dataset).mistakes, overview(dataset).mistaken_field) == (0, None)
    # The newest run was canceled, and can be resumed if its state is there.
    assert overview(dataset).canceled is None
    os.makedirs(run_folder(dataset, "new"))
    with open(os.path.join(run_folder(dataset, "new"), "state.pt"), "w") as file:
        file.write("state")
    assert overview(dataset).canceled == "3 of 5 epochs"


def test_a_decision_at_the_time_of_a_training_is_one_that_it_has_learned(name):
    dataset = fo.Dataset(name)
    for number in range(4):
        sample = fo.Sample(f"/{number}.png", own=fo.Classification(label="ab"[number % 2]))
        dataset.add_sample(sample)
    fg.review(dataset.limit(1), "relabel", "b", label_field="own")
    fg.review(dataset.skip(1).limit(1), "exclude", label_field="own")
    own = (
        dataset.name,
        ["a", "b"],
        {"backbone": "small_cnn", "epochs": 5},
        HISTORY,
        2,
        "own",
        "/x",
    )
    times = [runs.save_run(dataset, runs.Run(key, *own)).version for key in ("old", "new")]
    assert times[0] < times[1]
    for time, counts in (
        (f"{times[0]}0", (0, 2, 0)),
        (times[0], (0, 0, 1)),  # what is excluded is counted as learned, not as corrected
        (times[1], (0, 2, 0)),
        (f"{times[1]}0", (2, 0, 0)),
    ):
        dataset.limit(2).set_values("review.time", [time] * 2)
        found = overview(dataset)
        assert (found.corrected_since, found.learned, found.corrected_first) == counts
        assert found.reviewed_at == time


def test_texts_that_a_verb_has_used_are_labels_and_the_time_of_their_check_is_known(name):
    dataset = fo.Dataset(name)
    samples = [fo.Sample(f"/{n}.png", camera=text) for n, text in enumerate(["left", "right", ""])]
    dataset.add_samples(samples)
    assert overview(dataset).label_field is None
    dataset.add_sample_field("label_quality", fo.FloatField)
    describe_field(dataset, "label_quality", "q", label_field="camera")
    dataset.info["label_issues"] = {"label_field": "camera", "began": "2026-01-01"}
    dataset.save()
    found = overview(dataset)
    assert (found.label_field, found.classes) == ("camera", {"left": 1, "right": 1})
    assert (found.judged, found.judged_at, found.reviewed_at) == (True, "2026-01-01", None)
    dataset.info["label_issues"] = {"label_field": "another", "began": "2026-01-01"}
    dataset.save()
    assert (overview(dataset).judged, overview(dataset).judged_at) == (True, None)
    (made,) = fg.review(dataset.limit(1), "keep", label_field="camera")
    assert overview(dataset).reviewed_at == made.time
