"""What the panel says of each step of the work: of counts by hand."""

from collections.abc import Collection

from overviews import FIRST, IMPORTED, JUDGED, LEARNED, PREDICTED, REVIEWED, TRAINED

from fiftyone_gradcam.app.panels.next_step import steps
from fiftyone_gradcam.dataset.overview import Overview


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
    for verb in ("export_folders", "export_overlays", "export_run", "export_reviews", "report"):
        exported = ("Export", True, "done") if verb != "report" else ("Export", False, "")
        assert said(PREDICTED, [verb])[6] == exported
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


def test_facts_of_little_are_in_the_singular_and_those_of_nothing_empty():
    assert said({})[0] == ("Import", False, "")
    assert said({"samples": 5})[0] == ("Import", False, "5 samples, 0 classes")
    every = {"samples": 390, "classes": {"ant": 190, "bee": 200}}
    assert said(every)[0] == ("Import", True, "390 samples, 2 classes")
    assert said({"samples": 1, "classes": {"ant": 1}})[0][2] == "1 sample, 1 class"
    assert said(IMPORTED | {"runs": {"b": ""}})[2] == ("Train", True, "run 'b'")
    assert said(TRAINED)[3] == ("Predict", False, "")
    found = {"z": ("z", True, 5), "a": ("a", True, 1398), "y": ("y", True, 6)}
    facts = IMPORTED | {"samples": 1398, "predicted": found}
    assert said(facts)[3] == ("Predict", True, "1398 of 1398 by 'a'")
    assert said(IMPORTED | REVIEWED)[5] == ("Retrain", False, "")
