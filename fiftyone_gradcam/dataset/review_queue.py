"""The queue of labels to review, and the values that the App shows for each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import fiftyone as fo

from .review_cards import cards
from .review_counts import is_judged, is_reviewed, is_suspicious, review_counts
from .review_state import ISSUE, Columns, classes_of, columns_of

PAGE = 20  # cards on a page


@dataclass(frozen=True)
class Filters:
    """Filters of the queue; None means no filter.

    Attributes:
        kind: the kind of issue
        label, suggestion: the given class and the suggested class
        below: an upper bound of the label quality, exclusive
    """

    kind: str | None = None
    label: str | None = None
    suggestion: str | None = None
    below: float | None = None


def is_open(columns: Columns) -> dict:
    """Return the query for labels that are not reviewed yet, or have changed since."""
    return {"$expr": {"$not": [is_reviewed(columns)]}}


def is_queued(columns: Columns) -> dict:
    """Return the query for all labels to review: the open ones of `review_counts.is_judged`."""
    return {"$and": [is_open(columns), {"$expr": is_judged(columns)}]}


def queued(
    dataset: fo.Dataset, columns: Columns, filters: Filters, limit: int | None = None
) -> dict[str, bool]:
    """Return the samples to review (see `is_queued`), the most suspicious labels first.

    Suspicious labels come before the others. Both are sorted by label quality, or else by
    `label_score` if there are predictions.

    Returns:
        for each sample id, whether its label is suspicious
    """
    asked = [is_queued(columns)]
    score = columns.quality or next((f"{x}.label_score" for x in columns.scores), None)
    if filters.kind is not None:
        asked.append({f"{columns.issue or ISSUE}.label": filters.kind})
    if filters.label is not None:
        asked.append({columns.label: filters.label})
    if filters.suggestion is not None:
        asked.append({f"{columns.suggestion or 'suggested_label'}.label": filters.suggestion})
    if filters.below is not None and score:
        asked.append({score: {"$lt": filters.below}})
    pipeline: list[dict] = [{"$match": {"$and": asked}}]
    by = {"$ifNull": [f"${score}", 2.0]} if score else {"$literal": 0}  # no score: last
    pipeline += [{"$project": {"first": is_suspicious(columns), "by": by}}]
    pipeline += [{"$sort": {"first": -1, "by": 1, "_id": 1}}]
    pipeline += [{"$limit": limit}] if limit else []
    return {str(row["_id"]): row["first"] for row in dataset._sample_collection.aggregate(pipeline)}


def progress_of(dataset: fo.Dataset, columns: Columns) -> dict:
    """Return the progress of the review.

    Returns:
        "words" with the numbers of labels; "left", a remark if no suspicious label is left, and
        "finished", what to do then (see `ReviewCounts`); "checked", whether labels were checked;
        and the numbers of "suspicious" labels, of "others", and of "others_left"
    """
    counts = review_counts(dataset, columns)
    names = ("words", "finished", "checked", "suspicious", "others", "others_left")
    return {name: getattr(counts, name) for name in names} | {"left": counts.remark}


def choices_of(dataset: fo.Dataset, columns: Columns) -> dict:
    """Return the choices of the filters: classes, kinds, and pairs of label and suggestion."""
    found = {"classes": classes_of(dataset, columns.label_field), "kinds": [], "pairs": []}
    if columns.issue:
        found["kinds"] = sorted(filter(None, dataset.distinct(f"{columns.issue}.label")))
    if columns.suggestion:
        pair = {"label": f"${columns.label}", "other": f"${columns.suggestion}.label"}
        matched = {"$and": [is_open(columns), {f"{columns.suggestion}.label": {"$ne": None}}]}
        grouped = {"$group": {"_id": pair, "count": {"$sum": 1}}}
        sort = {"$sort": {"count": -1, "_id": 1}}
        rows = dataset._sample_collection.aggregate([{"$match": matched}, grouped, sort])
        found["pairs"] = [
            [row["_id"].get("label"), row["_id"]["other"], row["count"]] for row in rows
        ]
    return found


def sure_ids(dataset: fo.Dataset, columns: Columns) -> list[str]:
    """Return the ids of samples with a sure issue and a suggestion that are not reviewed yet."""
    if not columns.issue or not columns.suggestion:
        return []
    asked = [
        is_open(columns),
        {f"{columns.issue}.sure": True},
        {f"{columns.suggestion}.label": {"$ne": None}},
    ]
    rows = dataset._sample_collection.find({"$and": asked}, ["_id"], sort=[("_id", 1)])
    return [str(row["_id"]) for row in rows]


def queue(
    dataset: fo.Dataset,
    label_field: str | None,
    filters: Filters,
    limit: int = PAGE,
    known: Collection[str] = (),
) -> dict:
    """Return the next cards, the progress of the review, and the choices of the filters.

    Args:
        dataset, label_field, filters: which labels
        limit: the maximum number of cards
        known: ids of samples to leave out, such as those whose cards were skipped

    Returns:
        the "cards"; "rest" is the number of labels in the queue after them, and
        "rest_suspicious" the number of suspicious ones among these
    """
    columns, left_out = columns_of(dataset, label_field), set(known)
    found = queued(dataset, columns, filters)
    ids = [x for x in found if x not in left_out]
    return {
        "label_field": columns.label_field,
        "rest": max(len(ids) - limit, 0),
        "rest_suspicious": sum(found[x] for x in ids[limit:]),
        "cards": cards(dataset, columns, ids[:limit]),
        "progress": progress_of(dataset, columns),
        **choices_of(dataset, columns),
    }
