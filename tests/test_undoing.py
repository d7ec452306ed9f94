"""Decisions about labels are taken back exactly, and all that are asked for or none."""

from datetime import UTC, datetime

import fiftyone as fo
import pytest
from reviewable import at, make_reviewable, one, stored

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import decisions, undoing


@pytest.fixture
def dataset(name):
    return make_reviewable(name)


def test_undo_restores_exactly_what_was_there(dataset):
    states = [stored(dataset)]
    steps = [
        (at(dataset, 0), "accept", None),
        (at(dataset, 0), "relabel", "bird"),
        (at(dataset, 1, 2), "exclude", None),
        (at(dataset, 3), "relabel", "dog"),
        (at(dataset, 0, 1), "keep", None),
    ]
    for samples, decision, label in steps:
        fg.review(samples, decision, label)
        states.append(stored(dataset))
    assert len(set(states)) == 6
    for number in (4, 3):
        undone = fg.undo_review(dataset)
        assert [x.decision for x in undone] == [steps[number][1]] * len(steps[number][0])
        assert stored(dataset) == states[number]
    fg.undo_review(dataset, count=3)
    assert stored(dataset) == states[0]
    assert fg.list_reviews(dataset) == []
    with pytest.raises(ValueError, match="no decision about .* to undo"):
        fg.undo_review(dataset)
    fg.review(at(dataset, 0), "accept")  # again
    assert one(dataset, 0).own.label == "dog"


def test_undo_keeps_what_was_stored_anew_since(dataset):
    fg.review(at(dataset, 0), "accept")
    sample = one(dataset, 0)
    sample["prediction"] = fo.Classification(label="cat", confidence=0.8, label_score=0.1)
    sample["prediction_scores"] = [0.1, 0.8, 0.1]
    sample["label_quality"] = 0.4
    sample.save()
    fg.undo_review(dataset)
    sample = one(dataset, 0)
    assert (sample.own.label, sample.prediction.label_score) == ("cat", 0.8)
    assert sample.label_quality == 0.4


def test_undo_refuses_where_somebody_has_changed_the_label_since(dataset):
    fg.review(at(dataset, 0, 1), "accept")
    dataset.set_values("own.label", {one(dataset, 1).id: "cat"}, key_field="id")
    before = stored(dataset)
    with pytest.raises(ValueError, match="is 'cat', but was 'dog' when it was reviewed"):
        fg.undo_review(dataset)
    assert stored(dataset) == before


def test_many_steps_are_undone_in_one_write_whatever_they_were_about(dataset):
    """Of one sample three, of two fields of labels, and of samples in other orders."""
    values = dict(zip(dataset.values("id"), ["x", "y", "x", "y"], strict=True))
    dataset.set_values("kind", values, key_field="id")
    states, steps = (
        [stored(dataset)],
        [
            (at(dataset, 0), "accept", None, "own"),
            (at(dataset, 0), "relabel", "y", "kind"),
            (at(dataset, 1, 0), "relabel", "bird", "own"),
            (at(dataset, 3), "keep", None, "kind"),
            (at(dataset, 0, 1, 2), "exclude", None, "own"),
        ],
    )
    for samples, decision, label, field in steps:
        fg.review(samples, decision, label, label_field=field)
        states.append(stored(dataset))
    undone = fg.undo_review(dataset, 4)
    assert [x.decision for x in undone] == ["exclude"] * 3 + ["keep"] + ["relabel"] * 3
    assert [x.label_field for x in undone[3:]] == ["kind", "own", "own", "kind"]
    assert stored(dataset) == states[1]
    assert (one(dataset, 0).own.label, one(dataset, 0).review.label) == ("dog", "accept")
    assert fg.undo_review(dataset, 4)[0].decision == "accept"  # all there are
    assert stored(dataset) == states[0]


def test_of_many_steps_none_is_undone_where_a_label_has_changed(dataset):
    fg.review(at(dataset, 0), "accept")
    fg.review(at(dataset, 1), "accept")
    fg.review(at(dataset, 0), "keep")
    fg.review(at(dataset, 2), "exclude")
    dataset.set_values("own.label", {one(dataset, 1).id: "cat"}, key_field="id")
    before = stored(dataset)
    with pytest.raises(ValueError, match="1.png is 'cat', but was 'dog' when it was reviewed"):
        fg.undo_review(dataset, 4)
    assert stored(dataset) == before
    assert [x.decision for x in fg.undo_review(dataset, 2)] == ["exclude", "keep"]


def test_a_label_that_changes_while_it_is_undone_stays(dataset, monkeypatch):
    fg.review(at(dataset, 0), "accept")
    write = undoing.write_decisions

    def edited_before(own, writes):
        collection = own._sample_collection
        collection.update_one({"own.label": "dog"}, {"$set": {"own.label": "bird"}})
        write(own, writes)

    monkeypatch.setattr(undoing, "write_decisions", edited_before)
    with pytest.raises(ValueError, match="1 of 1 labels were changed elsewhere"):
        fg.undo_review(dataset)
    dataset.reload()
    assert (one(dataset, 0).own.label, one(dataset, 0).review.label) == ("bird", "accept")


@pytest.mark.parametrize("stored_again", [False, True])
def test_a_score_that_is_no_longer_that_of_the_decision_is_counted_again(dataset, stored_again):
    """The same prediction gets back its score as it was, another one that of its own scores."""
    dataset.set_values("prediction.label_score", {one(dataset, 0).id: 0.25}, key_field="id")
    fg.review(at(dataset, 0), "accept")
    sample = one(dataset, 0)
    assert sample.prediction.label_score == 0.7
    if stored_again:  # by another call of predict(), with the same values
        found = sample.prediction
        sample["prediction"] = fo.Classification(label=found.label, label_score=0.7)
        sample.save()
    fg.undo_review(dataset)
    assert one(dataset, 0).prediction.label_score == (0.2 if stored_again else 0.25)


def test_of_two_calls_at_the_same_time_one_is_undone(dataset, monkeypatch):
    monkeypatch.setattr(decisions, "time_now", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    fg.review(at(dataset, 0), "accept")
    fg.review(at(dataset, 1), "exclude")
    assert len(fg.undo_review(dataset)) == 1
    assert len(fg.list_reviews(dataset)) == 1
    assert len(fg.undo_review(dataset)) == 1


def test_a_decision_about_a_sample_without_a_label_or_scores_is_undone(dataset):
    dataset.set_values("prediction", {one(dataset, 3).id: None}, key_field="id")
    before = stored(dataset)
    fg.review(at(dataset, 3), "exclude")
    fg.review(at(dataset, 3), "relabel", "dog")
    undone = fg.undo_review(dataset, 9)
    assert [(x.decision, x.old_label, x.new_label) for x in undone] == [
        ("relabel", None, "dog"), ("exclude", None, None),
    ]  # fmt: skip
    assert stored(dataset) == before


@pytest.mark.parametrize("field", ["suggested_label", "label_quality"])
def test_what_was_found_again_after_a_decision_stays(dataset, field):
    """Its own value is restored only if the decision has removed it and nothing has come since."""
    fg.review(at(dataset, 0), "accept")
    found = fo.Classification(label="bird", confidence=0.5) if field != "label_quality" else 0.25
    dataset.set_values(field, {one(dataset, 0).id: found}, key_field="id")
    fg.undo_review(dataset)
    sample = one(dataset, 0)
    values = (sample.own.label, sample.suggested_label.label, sample.label_quality)
    assert values == ("cat", *(("bird", 0.05) if field == "suggested_label" else ("dog", 0.25)))
