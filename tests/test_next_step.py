"""What the panel says is done and comes next: of counts by hand, and of a real dataset."""

from collections.abc import Collection
from dataclasses import replace

import fiftyone as fo
import numpy as np
import pytest
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators import OPERATORS
from fiftyone_gradcam.app.operators.verb import Verb
from fiftyone_gradcam.app.panels.actions import BY_STEP, LABELS
from fiftyone_gradcam.app.panels.next_step import (
    FORM,
    RESUME,
    REVIEW,
    START,
    Step,
    next_steps,
    steps,
)
from fiftyone_gradcam.dataset import overview as of_dataset
from fiftyone_gradcam.dataset.evaluation import count_mistakes
from fiftyone_gradcam.dataset.overview import Overview, overview
from fiftyone_gradcam.dataset.review_counts import ReviewCounts
from fiftyone_gradcam.dataset.review_queue import Filters, queue
from fiftyone_gradcam.dataset.runs import newest_run

IMPORTED = {"samples": 398, "label_field": "truth", "classes": {"ant": 190, "bee": 200}}
SPLIT = IMPORTED | {"parts": {"train": 238, "val": 80, "test": 80}}
TRAINED = SPLIT | {"runs": {"a": "2026-01-01T10:00", "b": "2026-01-02T10:00"}}
PREDICTED = TRAINED | {"predicted": {"old": ("a", True, 398), "new": ("b", True, 390)}}
JUDGED = {
    "judged": True,
    "judged_at": "2026-01-03T10:00",
    "review": ReviewCounts(checked=True, left=17, others_left=381, expected=14),
}
REVIEWED = JUDGED | {
    "review": ReviewCounts(True, 0, 381, 17, 0, corrected=11, expected=14),
    "corrected_since": 12,
    "learned": 0,
}
FIRST = REVIEWED | {"corrected_since": 0, "corrected_first": 11}
LEARNED = REVIEWED | {"corrected_since": 0, "learned": 12}


def test_the_last_step_says_what_is_exported():
    for parts, inside in (({"train": 6}, " in a folder for each split"), ({}, "")):
        done = Overview(**PREDICTED | REVIEWED | {"corrected_since": 0, "parts": parts})
        words = f"Export the images to one folder for each class{inside}, with the labels as they "
        first = next(one for one in next_steps(done) if one.step == "Export")
        assert first.words == words + "are now."
    export, report, mistakes = "Export labeled folders", "Write a report", "Show mistakes"
    for finished, options in (
        ((), [export, report]),
        (["predict", "export_folders"], [report, export]),
        (["report"], [export, report]),
        (["report", "export_folders"], [export, report]),
    ):
        assert [one.label for one in next_steps(done, finished=finished)] == options
    first, *others = next_steps(replace(done, mistakes=1200))
    assert [one.label for one in others] == [export, report]  # with labels that may be corrected
    said = "See the 1,200 images on which prediction and label differ, the surest first."
    assert (first.label, first.words) == (mistakes, said)
    unseen = next_steps(Overview(**SPLIT | REVIEWED | {"corrected_since": 0}))
    assert "Write a report" not in [one.label for one in unseen]  # there is nothing to report


def test_without_a_run_reviewing_says_what_shows_whether_it_helps():
    words = "can be compared with one on the labels before"
    for known, says in ((IMPORTED, True), (TRAINED, False)):
        first = next(one for one in next_steps(Overview(**known | JUDGED)) if one.how == REVIEW)
        assert (words in first.words) == says


@pytest.mark.parametrize(
    ("facts", "label", "how", "second"),
    [
        ({}, "Import a folder", FORM, None),
        ({"samples": 5}, "Import a folder", FORM, None),
        # Labels are looked at first, for that takes no training.
        (IMPORTED, "Find label issues", START, "Train a classifier"),
        (SPLIT, "Find label issues", START, "Train a classifier"),
        (IMPORTED | JUDGED, "Review 17 suspicious labels", REVIEW, "Train a classifier"),
        (
            IMPORTED | JUDGED | {"review": ReviewCounts(True, left=1)},
            "Review 1 suspicious label",
            REVIEW,
            "Train a classifier",
        ),
        (IMPORTED | REVIEWED, "Train a classifier", START, "Export labeled folders"),
        (TRAINED, "Predict with 'b'", START, "Find label issues"),
        # Label issues are newer than the runs, and then a run is.
        (TRAINED | JUDGED, "Review 17 suspicious labels", REVIEW, "Predict with 'b'"),
        (
            TRAINED | JUDGED | {"judged_at": "2026-01-02T09:00"},
            "Predict with 'b'",
            START,
            "Review 17 suspicious labels",
        ),
        (PREDICTED, "Find label issues", START, "Export labeled folders"),
        (PREDICTED | JUDGED, "Review 17 suspicious labels", REVIEW, "Export labeled folders"),
        (PREDICTED | REVIEWED, "Retrain with 12 corrected labels", START, "Export labeled folders"),
        (
            PREDICTED | REVIEWED | {"corrected_since": 0},
            "Export labeled folders",
            FORM,
            "Write a report",
        ),
        # Whoever corrected labels before the first training has nothing to compare it with.
        (PREDICTED | FIRST, "See whether corrections help", START, "Export labeled folders"),
        (TRAINED | FIRST, "Predict with 'b'", START, "See whether corrections help"),
        (PREDICTED | FIRST | {"before_review": ["c"]}, "Export labeled folders", FORM, None),
        (PREDICTED | FIRST | {"learned": 1}, "Export labeled folders", FORM, None),
        # Predictions of the newest run as it was before it was trained again are none of it.
        (TRAINED | {"predicted": {"new": ("b", False, 398)}}, "Predict with 'b'", START, None),
    ],
)
def test_what_comes_next(facts, label, how, second):
    first, *others = next_steps(Overview(**facts))
    assert (first.label, first.how) == (label, how)
    assert first.words.endswith(".")
    if second is not None:
        assert others[0].label == second
    assert len({one.label for one in (first, *others)}) == 1 + len(others)


@pytest.mark.parametrize(
    ("facts", "key", "labels", "words"),
    [
        (TRAINED, None, ["Predict with 'b'", "Find label issues"], ""),
        (
            TRAINED | {"canceled": "3 of 17 epochs"},
            "b",
            ["Resume training 'b'", "Predict with 'b'"],
            "The training of 'b' was canceled after 3 of 17 epochs, and continues there.",
        ),
        # Whoever has predicted with it is content with what it has learned, or so it seems.
        (
            PREDICTED | JUDGED | {"canceled": "3 of 17 epochs"},
            "b",
            ["Review 17 suspicious labels", "Resume training 'b'"],
            "The training of 'b' was canceled after 3 of 17 epochs, and continues there.",
        ),
        # A training that was killed has no run yet.
        (
            PREDICTED,
            "c",
            ["Resume training 'c'", "Find label issues"],
            "The training of 'c' was interrupted, and continues after the last saved epoch.",
        ),
        (
            IMPORTED,
            "c",
            ["Resume training 'c'", "Find label issues"],
            "The training of 'c' was interrupted, and continues after the last saved epoch.",
        ),
    ],
)
def test_an_interrupted_training_can_be_resumed(facts, key, labels, words):
    options = next_steps(Overview(**facts), interrupted=key)
    assert [one.label for one in options[:2]] == labels
    resuming = [one for one in options if one.how == RESUME]
    assert [one.words for one in resuming] == ([words] if words else [])
    for one in resuming:
        assert (one.verb, one.given) == ("fine_tune", {"key": key, "resume": True})


def test_an_interrupted_prediction_can_be_resumed():
    for predicted, is_partly, label, how in (
        (0, False, "Predict with 'b'", START),
        (0, True, "Resume predicting with 'b'", RESUME),
        (390, True, "Resume predicting with 'b'", RESUME),
        (398, True, None, None),  # in another way
        (390, False, None, None),
    ):
        known = {"prediction": ("b", True, predicted)}
        found = next_steps(
            Overview(**TRAINED | {"predicted": known}), "k", None, None, (), is_partly
        )
        steps_of = [(one.label, one.how) for one in found if one.step == "Predict"]
        assert steps_of == ([(label, how)] if label else [])
        if how == RESUME:
            (one,) = [one for one in found if one.step == "Predict"]
            assert (one.verb, one.given) == ("predict", {"run": "b", "resume": True})


def test_what_is_started_needs_nothing_filled_in():
    (find, train, *_) = next_steps(Overview(**IMPORTED), "resnet18_2", "squeezenet1_1")
    assert (find.verb, find.given) == ("find_label_issues", {"label_field": "truth"})
    given = {"key": "resnet18_2", "label_field": "truth", "weights": "auto"}
    assert (train.verb, train.given) == ("fine_tune", given | {"backbone": "squeezenet1_1"})
    assert "split first: 60% train, 20% validation, 20% test" in train.words
    assert "split" not in next_steps(Overview(**SPLIT))[1].words
    assert "downloaded once" in find.words
    at_hand = next_steps(Overview(**IMPORTED, has_features=True))[0]
    assert "downloaded" not in at_hand.words
    (predict, *_) = next_steps(Overview(**TRAINED))
    assert (predict.verb, predict.given) == ("predict", {"run": "b"})
    (compare, *_) = next_steps(Overview(**PREDICTED | FIRST))
    assert (compare.verb, compare.given) == ("retrain", {"run": "b", "labels": "before_review"})
    assert "'b' was trained on 11 corrected labels." in compare.words
    (retrain, *_) = next_steps(Overview(**PREDICTED | REVIEWED))
    assert retrain.words.startswith("'b' is out of date: labels have changed since it was trained.")
    again = "The predictions are out of date: 'b' was trained again since. Let 'b' predict"
    for facts, is_again in (({}, False), ({"predicted": {"new": ("b", False, 398)}}, True)):
        (predict, *_) = next_steps(Overview(**TRAINED | facts))
        assert predict.words.startswith(again) == is_again
    assert (retrain.verb, retrain.given) == ("retrain", {"run": "b"})


def said_of(found: Overview) -> dict[str, Step]:
    return {one.name: one for one in steps(found)}


def said(facts: dict, finished: Collection[str] = ()) -> list[tuple]:
    return [(one.name, one.done, one.fact) for one in steps(Overview(**facts), finished)]


def test_each_step_says_a_fact():
    assert [name for name, done, _ in said({}) if done] == []
    assert said(PREDICTED | REVIEWED) == [
        ("Import", True, "398 samples, 2 classes, 8 without a label"),
        ("Split", True, "train 238, val 80, test 80"),
        ("Train", True, "2 runs, the newest is 'b'"),
        ("Predict", True, "390 of 398 by 'b'"),
        (
            "Review",
            True,
            "17 suspicious labels: 17 reviewed, 0 left; about 14 wrong labels expected in all, 11 "
            "corrected so far. No suspicious label is left; 381 other labels are not reviewed",
        ),
        ("Retrain", False, "12 corrections since the last run"),
        ("Export", False, ""),
    ]
    learned = said(PREDICTED | LEARNED, finished=["predict", "export_run"])
    assert learned[5:] == [
        ("Retrain", True, "'b' has learned from all corrections"),
        ("Export", True, "done"),
    ]
    canceled = said(PREDICTED | LEARNED | {"canceled": "3 of 17 epochs"})
    assert [canceled[place] for place in (2, 5)] == [
        (
            "Train",
            False,
            "2 runs, the newest is 'b', canceled after 3 of 17 epochs; the training can be resumed",
        ),
        ("Retrain", False, "the training of 'b' with all corrections was canceled"),
    ]
    one = PREDICTED | {"corrected_since": 1, "runs": ["b"]}
    assert said(one)[5] == ("Retrain", False, "1 correction since the last run")
    # Without corrections there is nothing to learn from them.
    for facts in (LEARNED | {"learned": 0}, JUDGED, JUDGED | {"canceled": "3 of 17 epochs"}):
        assert said(PREDICTED | facts)[5] == ("Retrain", False, "")
    # A training on the labels before review checks nothing and is no retraining.
    before = {"before_review": ["c", "d"]}
    assert said(PREDICTED | LEARNED | {"learned": 0} | before)[5] == ("Retrain", False, "")
    since = ("Retrain", False, "12 corrections since the last run")
    assert said(PREDICTED | REVIEWED | before)[5] == since
    words = "'b' was trained with all corrections from the start"
    for facts in (FIRST, FIRST | before):
        assert said(PREDICTED | facts)[5] == ("Retrain", True, words)
    canceled = said(PREDICTED | FIRST | {"canceled": "3 of 17 epochs"})[5]
    assert canceled == ("Retrain", False, "the training of 'b' with all corrections was canceled")
    facts = IMPORTED | JUDGED | {"predicted": {"imagenet": ("resnet18/imagenet", True, 398)}}
    assert said(facts)[1:5] == [
        ("Split", False, "done with training"),
        ("Train", False, ""),
        ("Predict", True, "398 of 398 by 'resnet18/imagenet'"),
        (
            "Review",
            False,
            "17 suspicious labels: 0 reviewed, 17 left; about 14 wrong labels expected in all, 0 "
            "corrected so far",
        ),
    ]
    assert said(TRAINED | {"predicted": {"old": ("a", True, 398)}})[3][1:] == (
        False,
        "not yet by 'b'",
    )


def test_all_forms_are_reached_by_name():
    verbs = [verb for own in BY_STEP.values() for verb in own]
    forms = {operator().config.name for operator in OPERATORS if issubclass(operator, Verb)}
    assert len(verbs) == len(set(verbs))
    assert set(verbs) <= forms == set(LABELS)
    assert len(set(LABELS.values())) == len(LABELS)


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
