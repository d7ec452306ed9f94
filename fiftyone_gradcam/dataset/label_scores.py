"""The stored scores of labels: count those of earlier labels, and update them in the database."""

from __future__ import annotations

import fiftyone as fo

from .fields import field_info, path_in


def count_stale_scores(dataset: fo.Dataset, name: str) -> int:
    """Count the samples whose stored `label_score` is not the score of their current label."""
    expected = score_of_label(dataset, name)
    if expected is None:
        return 0
    stored = {"$ifNull": [f"${name}.label_score", None]}
    has_one = {"$gt": [f"${name}.label", None]}
    differs = {"$expr": {"$and": [has_one, {"$ne": [stored, expected]}]}}
    return dataset._sample_collection.count_documents(differs)


def score_of_label(dataset: fo.Dataset, name: str) -> dict | None:
    """Return the database expression for the score of a sample's current label.

    Returns:
        the expression; None if the scores of all classes, or the labels, do not exist
    """
    info, scores = field_info(dataset, name), f"{name}_scores"
    label_field, classes = info.get("label_field"), info.get("classes")
    there = label_field and dataset.get_field(label_field) is not None
    if not (there and classes) or dataset.get_field(scores) is None:
        return None
    label = {"$ifNull": [f"${path_in(dataset, label_field)}", None]}
    place = {"$indexOfArray": [{"$literal": list(classes)}, label]}
    own = {"$ifNull": [{"$arrayElemAt": [f"${scores}", "$$place"]}, None]}
    chosen = {"$cond": [{"$gte": ["$$place", 0]}, own, None]}
    return {"$let": {"vars": {"place": place}, "in": chosen}}


def refresh_label_scores(dataset: fo.Dataset, name: str) -> int:
    """Update the scores of labels that have changed, from the stored scores of all classes.

    No network is needed.

    Returns:
        the number of samples whose score has changed
    """
    expected, count = score_of_label(dataset, name), count_stale_scores(dataset, name)
    if expected is not None and count:
        change = [{"$set": {f"{name}.label_score": expected, "last_modified_at": "$$NOW"}}]
        dataset._sample_collection.update_many({f"{name}.label": {"$ne": None}}, change)
        fo.Sample._reload_docs(dataset._sample_collection_name)
    return count
