"""What the panel says comes next: of counts by hand."""

from dataclasses import replace

import pytest
from overviews import FIRST, IMPORTED, JUDGED, PREDICTED, REVIEWED, SPLIT, TRAINED

from fiftyone_gradcam.app.operators import OPERATORS
from fiftyone_gradcam.app.operators.verb import Verb
from fiftyone_gradcam.app.panels.actions import BY_STEP, LABELS
from fiftyone_gradcam.app.panels.next_step import (
    FORM,
    RESUME,
    REVIEW,
    SHOW,
    START,
    is_quick,
    next_steps,
    quickly,
)
from fiftyone_gradcam.dataset.overview import Overview
from fiftyone_gradcam.dataset.review_counts import ReviewCounts

TRAIN, RESUME_A = "Train a classifier", "Resume training 'a'"


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
    first, *others = next_steps(replace(done, mistakes=1200, mistaken_field="new"))
    assert (first.label, first.how) == (mistakes, SHOW)
    assert first.given == {"prediction_field": "new"}
    assert [one.label for one in others] == [export, report]  # with labels that may be corrected
    said = "See the 1,200 images on which prediction and label differ, the surest first."
    assert (first.label, first.words) == (mistakes, said)
    unseen = next_steps(Overview(**SPLIT | REVIEWED | {"corrected_since": 0}))
    assert "Write a report" not in [one.label for one in unseen]  # there is nothing to report


def test_without_a_run_reviewing_says_what_shows_whether_it_helps():
    words = "can be compared with one on the labels before"
    unchecked = next_steps(Overview(**IMPORTED | {"review": ReviewCounts(left=2)}))
    assert REVIEW not in [one.how for one in unchecked]  # nothing was checked
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
    for facts in (IMPORTED | {"has_features": True}, PREDICTED):
        assert "downloaded" not in next_steps(Overview(**facts))[0].words
    plain = next_steps(Overview(**IMPORTED), "k")[1]
    assert plain.given == {"key": "k", "label_field": "truth", "weights": "auto"}
    assert quickly(train).given == train.given | {"recipe": "linear-probe"}
    assert [is_quick(x) for x in (train, quickly(train))] == [False, True]
    assert not is_quick(replace(quickly(train), verb="retrain"))
    (predict, *_) = next_steps(Overview(**TRAINED))
    assert (predict.verb, predict.given) == ("predict", {"run": "b"})
    (compare, *_) = next_steps(Overview(**PREDICTED | FIRST))
    assert (compare.verb, compare.given) == ("retrain", {"run": "b", "labels": "before_review"})
    assert "'b' was trained and validated with 11 corrected labels." in compare.words
    (retrain, *_) = next_steps(Overview(**PREDICTED | REVIEWED))
    assert retrain.words.startswith("'b' is out of date: labels have changed since it was trained.")
    again = "The predictions are out of date: 'b' was trained again since. Let 'b' predict"
    for facts, is_again in (
        ({}, False),
        ({"predicted": {"new": ("b", False, 398)}}, True),
        ({"predicted": {"new": ("a", False, 398)}}, False),
        ({"predicted": {"new": ("b", True, 0)}}, False),
    ):
        (predict, *_) = next_steps(Overview(**TRAINED | facts))
        assert predict.words.startswith(again) == is_again
    assert predict.words == "Let 'b' predict all 398 images, and see where it looks."
    new_fields = {"prediction_field": "p", "heatmap_field": "g"}
    (predict, *_) = next_steps(Overview(**TRAINED), beside=new_fields)
    assert predict.words.endswith(" Its results are stored in new fields: p and g.")
    assert (retrain.verb, retrain.given) == ("retrain", {"run": "b"})


def test_three_steps_are_offered_and_those_that_start_before_forms():
    resume, predict, find = "Resume training 'b'", "Predict with 'b'", "Find label issues"
    review, retrain = "Review 17 suspicious labels", "Retrain with 1 corrected label"
    export, report, mistakes = "Export labeled folders", "Write a report", "Show mistakes"
    seen = {"mistakes": 2, "mistaken_field": "new"}
    for facts, key, finished, labels in (
        (TRAINED, None, (), [predict, find]),
        (TRAINED | seen, None, (), [predict, find]),
        (PREDICTED, None, (), [find, export, report]),
        (PREDICTED, None, [find, "find_label_issues"], [find, export, report]),
        (PREDICTED | seen, None, (), [find, mistakes, export]),
        (PREDICTED | JUDGED, None, (), [review, export, report]),
        (PREDICTED | JUDGED | {"corrected_since": 1}, None, (), [review, retrain]),
        (TRAINED | JUDGED | {"corrected_since": 1}, "b", (), [resume, review, predict]),
        # A run whose training was started over is not the newest, and has predicted before.
        (TRAINED | {"predicted": {"x": ("a", True, 398)}}, "a", (), [RESUME_A, predict, find]),
        # What was done in the same moment is looked at first.
        (TRAINED | JUDGED | {"judged_at": "2026-01-02T10:00"}, None, (), [review, predict]),
        (TRAINED | JUDGED | {"judged_at": None}, None, (), [predict, review]),
        (PREDICTED | FIRST | {"canceled": "1 of 2 epochs"}, None, (), [export, report]),
        (IMPORTED | REVIEWED | {"corrected_since": 0}, "c", (), ["Resume training 'c'", TRAIN]),
    ):
        found = next_steps(Overview(**facts), interrupted=key, finished=finished)
        assert [one.label for one in found] == labels, (facts, key)


def test_only_the_newest_run_was_canceled():
    words = "The training of 'c' was interrupted, and continues after the last saved epoch."
    for facts, key in (({"canceled": "1 of 2 epochs"}, "c"), ({}, "b")):
        (one, *_) = next_steps(Overview(**TRAINED | facts), interrupted=key)
        assert one.words == words.replace("'c'", repr(key))


def test_all_forms_are_reached_by_name():
    verbs = [verb for own in BY_STEP.values() for verb in own]
    forms = {operator().config.name for operator in OPERATORS if issubclass(operator, Verb)}
    assert len(verbs) == len(set(verbs))
    assert set(verbs) <= forms == set(LABELS)
    assert len(set(LABELS.values())) == len(LABELS)
