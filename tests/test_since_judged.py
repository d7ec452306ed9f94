"""What has been decided since labels were judged, by hand."""

import pytest
from reviewable import at, make_reviewable

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.since_judged import (
    Changes,
    are_mixed,
    basis_of_issues,
    changes_since_judged,
    estimated_before,
)

BEGAN = "2000-01-01T00:00:00"


@pytest.fixture
def dataset(name):
    """Of four labels two are judged, and suspicious."""
    return make_reviewable(name)


def test_a_label_counts_by_what_it_was_and_what_it_is(dataset):
    """Whatever happened in between, and whatever was decided about other labels."""
    dataset.set_values("kind", ["x", "y", "x", "y"])
    basis = basis_of_issues(dataset, "own", "label_quality", {}, BEGAN, False)
    noted = {"label_field": "own", "fields": ["label_quality", "suggested_label"], **basis}

    def changes() -> tuple:
        found = changes_since_judged(dataset, noted)
        assert not found.elsewhere
        return found.corrected, found.left_out, found.open

    assert changes() == (0, 0, 2)
    for place, decision, label, field, found in (
        (0, "relabel", "y", "kind", (0, 0, 2)),  # another label of the same image
        (0, "accept", None, "own", (1, 0, 1)),
        (0, "relabel", "bird", "own", (1, 0, 1)),  # is one label still
        (0, "relabel", "cat", "own", (0, 0, 1)),  # as it was
        (1, "keep", None, "own", (0, 0, 0)),
        (1, "unclear", None, "own", (0, 1, 0)),
        (2, "relabel", "dog", "own", (1, 1, 0)),  # which was not judged
    ):
        fg.review(at(dataset, place), decision, label, label_field=field)
        assert changes() == found
    assert changes_since_judged(dataset, {**noted, "basis": None}) is None


@pytest.mark.parametrize(("place", "elsewhere"), [(0, True), (2, False)])
def test_a_judged_label_that_is_edited_without_a_review_has_changed_elsewhere(
    dataset, place, elsewhere
):
    basis = basis_of_issues(dataset, "own", "label_quality", {}, BEGAN, False)
    noted = {"label_field": "own", "fields": ["label_quality"], **basis}
    assert changes_since_judged(dataset, noted) == Changes(0, 0, 2, False)
    at(dataset, place).set_values("own.label", ["dog"])
    assert changes_since_judged(dataset, noted) == Changes(0, 0, 2, elsewhere)


def test_a_quality_that_is_stored_after_a_decision_is_a_change_elsewhere(dataset):
    noted = noted_of(dataset)
    fg.review(at(dataset, 2, 3), "unclear")  # neither was judged
    assert changes_since_judged(dataset, noted) == Changes(0, 2, 2, False)
    dataset.set_values("label_quality", {at(dataset, 3).first().id: 0.5}, key_field="id")
    assert changes_since_judged(dataset, noted) == Changes(0, 2, 2, False)  # of no label
    dataset.set_values("label_quality", {at(dataset, 2).first().id: 0.5}, key_field="id")
    assert changes_since_judged(dataset, noted) == Changes(0, 2, 2, True)


def noted_of(dataset, **changed) -> dict:
    """What is noted of a check of all labels."""
    basis = basis_of_issues(dataset, "own", "label_quality", {}, BEGAN, False)
    return {"label_field": "own", "fields": ["label_quality"], **basis, **changed}


def test_a_check_of_some_labels_is_mixed_with_what_is_kept_of_another(dataset):
    noted, ids = noted_of(dataset), dataset.values("id")
    own = (dataset, noted, "own", "label_quality")
    assert not are_mixed(*own, ids[2:])  # what is kept is as fresh
    assert are_mixed(dataset, noted, "own", "label_quality", []) is False
    for changed, label_field, mixed in (
        ({"label_field": "gone"}, "own", True),
        ({"label_field": None}, "own", True),
        ({"fields": ["another"]}, "own", True),
        ({}, "kind", True),
        ({"basis": None}, "own", True),
        ({"basis": "other"}, "own", True),
        ({}, "own", False),
    ):
        kept = (dataset, {**noted, **changed}, label_field, "label_quality")
        assert are_mixed(*kept, ids[1:]) is mixed
        assert not are_mixed(*kept, ids[:2])  # nothing is kept
        assert not are_mixed(dataset, {}, label_field, "label_quality", ids[1:])
        assert not are_mixed(*kept[:3], "no_field", ids[1:])
    fg.review(at(dataset, 0), "accept")
    assert are_mixed(*own, ids[1:])
    assert not are_mixed(*own, ids[:2])
    fg.undo_review(dataset)
    assert not are_mixed(*own, ids[1:])


def test_the_basis_of_a_check_is_that_of_all_labels_that_have_a_quality(dataset):
    ids = dataset.values("id")
    assert basis_of_issues(dataset, "own", "label_quality", {}, BEGAN, True) == {
        "began": BEGAN, "basis": "",
    }  # fmt: skip
    basis = noted_of(dataset)["basis"]
    judged = {ids[0]: "cat", ids[1]: "bird"}
    own = (dataset, "own", "label_quality")
    assert basis_of_issues(*own, judged, BEGAN, False)["basis"] == basis
    dataset.set_values("label_quality", {ids[1]: None}, key_field="id")
    assert basis_of_issues(*own, judged, BEGAN, False)["basis"] == basis
    judged = {ids[0]: "cat"}
    assert basis_of_issues(*own, judged, BEGAN, False)["basis"] != basis


def test_a_decision_at_the_time_of_a_check_was_made_before_it(dataset):
    (made,) = fg.review(at(dataset, 0), "accept")
    for began, corrected in ((made.time, 0), (made.time[:-1], 1)):
        found = changes_since_judged(dataset, noted_of(dataset, began=began))
        assert (found.corrected, found.left_out, found.open) == (corrected, 0, 1)
    fg.review(at(dataset, 0), "relabel", "cat")  # as it was before the first decision
    for began, corrected in ((made.time, 1), (made.time[:-1], 0)):
        assert changes_since_judged(dataset, noted_of(dataset, began=began)).corrected == corrected


def test_what_an_estimate_does_not_include(dataset):
    dataset.info["label_issues"] = noted_of(dataset)
    dataset.save()
    assert estimated_before(dataset) is None  # there is no review
    fg.review(at(dataset, 1), "keep")
    assert estimated_before(dataset) is None
    fg.review(at(dataset, 0), "accept")
    assert estimated_before(dataset) == ("own", "1 label was corrected")
    for changed in ({"basis": None}, {"began": None}, {"label_field": None}, {"label_field": "x"}):
        dataset.info["label_issues"] = noted_of(dataset, **changed)
        assert estimated_before(dataset) is None
    dataset.info.pop("label_issues")
    assert estimated_before(dataset) is None


@pytest.mark.parametrize(
    ("corrected", "left_out", "words"),
    [
        (0, 0, ""),
        (1, 0, "1 label was corrected"),
        (2, 1, "2 labels were corrected and 1 sample was left out"),
        (0, 2, "2 samples were left out"),
    ],
)
def test_changes_in_words(corrected, left_out, words):
    found = Changes(corrected, left_out, 5, False)
    assert (found.words, found.decided) == (words, corrected + left_out)
