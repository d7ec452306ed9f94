"""What has been decided since labels were judged, by hand."""

import pytest
from reviewable import at, make_reviewable

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.since_judged import Changes, basis_of_issues, changes_since_judged

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
