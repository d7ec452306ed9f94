"""Decisions about one sample, about labels in another field, and what they are refused for."""

import re

import fiftyone as fo
import pytest
from reviewable import at, make_reviewable, one, stored

import fiftyone_gradcam as fg


@pytest.fixture
def dataset(name):
    return make_reviewable(name)


def test_a_single_sample_is_decided_on_alone(dataset):
    first, second = one(dataset, 0), one(dataset, 1)
    (made,) = fg.review(first, "accept")
    assert (made.sample_id, made.new_label) == (first.id, "dog")
    (made,) = fg.review(second, "keep", shown="bird", source="a script")
    assert (made.sample_id, made.source, made.new_label) == (second.id, "a script", "bird")
    assert dataset.values("own.label") == ["dog", "bird", "cat", None]
    assert dataset.count("review") == 2
    before = stored(dataset)
    # Seen by one name for all: of both of them or of none.
    words = "is 'cat', but was 'dog' when it was shown"
    with pytest.raises(ValueError, match=words):
        fg.review(at(dataset, 0, 2), "keep", shown="dog")
    assert stored(dataset) == before


def test_a_sample_that_was_deleted_is_named(dataset):
    sample = one(dataset, 0)
    dataset.delete_samples([sample.id])
    words = "The sample of '/0.png' is not in a dataset: it was deleted, or never added"
    with pytest.raises(ValueError, match=words):
        fg.review(sample, "keep")
    ids = dataset.values("id")
    with pytest.raises(ValueError, match="1 of 4 samples have been deleted"):
        fg.review(dataset.select([*ids, sample.id]), "keep")
    assert len(fg.review(dataset.select(ids).select(ids[:2]), "unclear")) == 2


def test_what_cannot_be_accepted_is_named_with_the_remedy(dataset):
    before = stored(dataset)
    words = (
        "2 of 4 samples have no suggestion in 'suggested_label' to accept: /2.png, /3.png. Nothing "
        "was changed; choose samples with a suggestion, such as samples.exists('suggested_label')"
    )
    with pytest.raises(ValueError, match=re.escape(words)):
        fg.review(dataset, "accept")
    dataset.set_values("second", [fo.Classification(label="cat") for _ in range(4)])
    words = (
        "has no suggestions for the labels in 'second'. Call find_label_issues() first, or give "
        "the label: review(samples, 'relabel', label=...)"
    )
    with pytest.raises(ValueError, match=re.escape(words)):
        fg.review(dataset, "accept", label_field="second")
    dataset.delete_sample_field("second")
    words = (
        "'wolf' is not a class of 'own' yet. Pass new_class=True to add it. Its classes: bird, "
        "cat, dog"
    )
    with pytest.raises(ValueError, match=re.escape(words)):
        fg.review(dataset, "relabel", "wolf")
    with pytest.raises(ValueError, match=re.escape("label must name a class, not '\\t'")):
        fg.review(dataset, "relabel", "\t", new_class=True)
    assert stored(dataset) == before
