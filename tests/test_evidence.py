"""What speaks against a label, in words: from stored values by hand."""

import pytest

from fiftyone_gradcam.dataset.evidence import (
    decided_since,
    evidence_in,
    issue_words,
    kind_in,
    predicted_in,
    suggestion_in,
)
from fiftyone_gradcam.dataset.label_totals import in_words
from fiftyone_gradcam.dataset.review_state import Columns

CHECKED = "2026-01-02"
SCORES = {"first": ["a", "b"], "second": ["b", "a", "c"]}
ALL = Columns("own", "own.label", SCORES, "quality", "other", "issue", None, CHECKED)
NONE = Columns("own", "own.label", {}, None, None, None, None)
LABEL = {"own": {"label": "a"}}


def decided(new="a", time="2026-01-03", field="own", **more) -> dict:
    """The values of a sample whose label is "a", with a decision."""
    review = {"label": "relabel", "label_field": field, "old_label": "c", "new_label": new}
    said = {"evidence": "wrong label: like b", "suggestion": "b", "time": time}
    return LABEL | {"review": review | said | more}


def test_evidence_is_that_of_the_issue_of_the_decision_or_of_all_that_is_stored():
    found = LABEL | {"issue": {"label": "wrong label", "evidence": "like b"}}
    assert evidence_in(found, ALL) == "wrong label: like b"
    poor = {"label": "dark", "evidence": "dark: mean 3"}
    assert evidence_in(decided() | {"issue": poor}, ALL) == "dark: mean 3"
    assert evidence_in(found, NONE) == ""
    scores = {"first_scores": [0.75, 0.25], "second_scores": [0.5, 0.125, 0.375]}
    words = "second: 'b' with 50.0%"
    stored = LABEL | scores
    assert evidence_in(stored, ALL) == words
    stored |= {"quality": 0.0, "other": {"label": "b", "confidence": 0.5}}
    words += "; label quality 0.000; 'b' suggested with 50.0%"
    assert evidence_in(stored, ALL) == words
    assert evidence_in(stored, NONE) == ""
    assert evidence_in(LABEL | {"other": {"label": "b"}}, ALL) == "'b' suggested with 0.0%"
    # A decision about this label, or any since the labels were checked, keeps what was known.
    assert evidence_in(stored | decided(time="2026-01-01"), ALL) == "wrong label: like b"
    assert evidence_in(stored | decided("c"), ALL) == "wrong label: like b"
    for other in (decided("c", CHECKED), decided("c", None), decided(field="x"), decided("c", "")):
        assert evidence_in(stored | other, ALL) == words
    assert evidence_in(stored | decided(evidence=""), ALL) == words


def test_a_prediction_speaks_against_a_label_if_its_class_is_another():
    scores = {"first_scores": [0.5, 0.5], "second_scores": [0.2, 0.3, 0.5]}
    assert predicted_in(LABEL | scores, ALL) == "second: 'c' with 50.0%"  # the first of equal ones
    assert predicted_in(scores, ALL) == ""  # there is no label
    assert predicted_in(LABEL | scores | {"second_scores": None}, ALL) == ""
    assert predicted_in({"own": {"label": "b"}} | scores, ALL) == "first: 'a' with 50.0%"


def test_a_decision_counts_if_it_was_made_since_the_labels_were_checked():
    assert decided_since(decided(), ALL) == decided()["review"]
    assert decided_since(decided(time=CHECKED), ALL) == {}
    assert decided_since(decided(field="x"), ALL) == {}
    assert decided_since(LABEL, ALL) == {}
    assert decided_since(decided(time=None), NONE) == {}


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"issue": {"label": "dark"}}, "dark"),
        (decided() | {"issue": {"label": "dark"}}, "dark"),
        (decided(), "wrong label"),
        (decided(evidence="suspicious label: x"), "suspicious label"),
        (decided(evidence="label quality 0.1: x"), None),
        (decided(evidence="wrong label"), None),
        (decided(evidence=None), None),
        (decided(time=CHECKED), None),
        (LABEL, None),
    ],
)
def test_a_decided_issue_is_of_the_kind_that_its_evidence_starts_with(row, kind):
    assert kind_in(row, ALL) == kind
    assert issue_words(row, ALL) == [] if kind is None else len(issue_words(row, ALL)) >= 1


def test_an_issue_is_put_in_sentences_with_the_decision():
    issue = {"issue": {"label": "wrong label", "evidence": "like b"}}
    assert issue_words(LABEL | issue, ALL) == ["Wrong label: like b."]
    assert issue_words(decided(field="x") | issue, ALL) == ["Wrong label: like b."]
    reviewed = "This label was reviewed (relabel): 'c' was changed to 'a'."
    assert issue_words(decided(), ALL) == [reviewed, "Before the review: wrong label: like b."]
    dark = {"issue": {"label": "dark", "evidence": "dark: mean 3"}}
    assert issue_words(decided() | dark, ALL) == [reviewed, "Dark: mean 3."]
    kept = decided(old_label="a", label="keep")
    assert issue_words(kept, ALL)[0] == "This label was reviewed (keep): 'a' was kept."
    assert kind_in(LABEL | issue, NONE) is None


def test_a_suggestion_is_the_stored_one_or_that_of_a_decision_since():
    assert suggestion_in(LABEL | {"other": {"label": "c"}}, ALL) == "c"
    assert suggestion_in(decided() | {"other": {"label": "c"}}, ALL) == "c"
    assert suggestion_in(decided(), ALL) == "b"
    assert suggestion_in(decided(time=CHECKED), ALL) is None
    assert suggestion_in(decided(), NONE) is None


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "Probably none of 50 labels is wrong (95% interval: 0 to 3)"),
        (1, "About 1 of 50 labels is wrong (95% interval: 0 to 3)"),
        (2, "About 2 of 50 labels are wrong (95% interval: 0 to 3)"),
    ],
)
def test_an_estimate_in_words(count, words):
    assert in_words({"estimate": count, "judged": 50, "low": 0, "high": 3}) == words
