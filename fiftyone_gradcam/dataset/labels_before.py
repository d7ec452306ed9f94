"""The labels that samples had before reviews changed them."""

from __future__ import annotations

import fiftyone as fo

from ..similar import did_you_mean
from .decisions import adopt_edits
from .review_state import REVIEW, columns_of
from .reviews import journal, reviewing, spans
from .run import BEFORE_REVIEW, CURRENT

CHOICES = (CURRENT, BEFORE_REVIEW)  # the labels that a training can use


def check_choice(labels: str) -> None:
    """Raise ValueError if this is not a choice of labels to train on."""
    if labels not in CHOICES:
        raise ValueError(
            f"labels must be 'current' or 'before_review', not {labels!r}. "
            f"{did_you_mean(labels, CHOICES)}".rstrip()
        )


def has_corrections(dataset: fo.Dataset, label_field: str) -> bool:
    """Return whether reviews have changed a label of a field; edits elsewhere are not counted."""
    differs = {"$expr": {"$ne": [f"${REVIEW}.old_label", f"${REVIEW}.new_label"]}}
    own = {f"{REVIEW}.label_field": label_field, **differs}
    return dataset._sample_collection.find_one(own, ["_id"]) is not None


def labels_before(dataset: fo.Dataset, label_field: str, time: str = "") -> dict[str, str | None]:
    """Return the labels before reviews changed them.

    Args:
        dataset: the dataset
        label_field: the field of the labels
        time: return the labels at this time, in UTC and ISO 8601; by default, before all reviews

    Returns:
        by sample id, the label then, for samples that have another one now
    """
    with reviewing(dataset):
        columns = columns_of(dataset, label_field)
        adopt_edits(dataset, columns)
    own = (one for one in journal(dataset) if one.label_field == label_field and one.time > time)
    found = spans(own).items()
    return {sample_id: then for sample_id, (then, last) in found if then != last.new_label}


def labels_to_learn(dataset: fo.Dataset, label_field: str, labels: str) -> dict[str, str | None]:
    """Return the labels that a training uses instead of the current ones, by sample id.

    Args:
        dataset: the dataset
        label_field: the field of the labels
        labels: "current" or "before_review"

    Raises:
        ValueError: if labels is another value, or if no review has changed a label
    """
    check_choice(labels)
    if labels == CURRENT:
        return {}
    found = labels_before(dataset, label_field)
    if not found:
        raise ValueError(
            f"No label in {label_field!r} was changed by a review, so the labels before review are "
            f"the current ones. Use labels='current'"
        )
    return found
