"""The queue of labels to review, and the values that the App shows for each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import fiftyone as fo

from .review_cards import cards
from .review_state import (
    ISSUE,
    REVIEW,
    Columns,
    classes_of,
    columns_of,
)

PAGE = 20  # cards on a page
ISSUES_KEY = "label_issues"  # key of the results of find_label_issues in the dataset's info


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
    new = {"$ifNull": [f"${REVIEW}.new_label", None]}
    own = {"$ifNull": [f"${columns.label}", None]}
    about = {"$eq": [f"${REVIEW}.label_field", columns.label_field]}
    return {"$expr": {"$not": [{"$and": [about, {"$eq": [new, own]}]}]}}


def is_queued(columns: Columns) -> dict:
    """Return the query for all labels to review.

    If the labels were checked, these are the open labels with a label quality or an issue.
    Otherwise they are all open labels.
    """
    asked = [is_open(columns), {columns.label: {"$nin": [None, ""]}}]
    if columns.quality:
        judged = [{columns.quality: {"$ne": None}}]
        judged += [{f"{columns.issue}.label": {"$ne": None}}] if columns.issue else []
        asked.append({"$or": judged})
    return {"$and": asked}


@dataclass(frozen=True)
class Left:
    """The number of labels to review: suspicious ones have a suggested class, others do not."""

    suspicious: int = 0
    others: int = 0

    @property
    def words(self) -> str:
        """A remark if only labels without a suggested class are left; otherwise empty."""
        if self.suspicious or not self.others:
            return ""
        others = "1 other is" if self.others == 1 else f"{self.others:,} others are"
        return f"No suspicious label is left; {others} not reviewed"


def left_to_review(dataset: fo.Dataset, columns: Columns) -> Left:
    """Count the labels in the queue, without filters."""
    suspicious = False
    if columns.suggestion:
        suspicious = {"$gt": [f"${columns.suggestion}.label", None]}
    group = {"$group": {"_id": suspicious, "count": {"$sum": 1}}}
    rows = dataset._sample_collection.aggregate([{"$match": is_queued(columns)}, group])
    counts = {row["_id"]: row["count"] for row in rows}
    return Left(counts.get(True, 0), counts.get(False, 0))


def queue_ids(
    dataset: fo.Dataset, columns: Columns, filters: Filters, limit: int | None = None
) -> list[str]:
    """Return the ids of the samples to review (see `is_queued`), the most suspicious first.

    They are sorted by label quality, or else by `label_score` if there are predictions.
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
    pipeline += [{"$project": {"by": by}}, {"$sort": {"by": 1, "_id": 1}}]
    pipeline += [{"$limit": limit}] if limit else []
    found = dataset._sample_collection.aggregate(pipeline)
    return [str(row["_id"]) for row in found]


def progress_of(dataset: fo.Dataset, columns: Columns) -> dict:
    """Return the numbers of labels reviewed and corrected, and the estimated number of wrong ones.

    The estimate is None if the labels were not checked. In this case, "suspicious" is the number of
    labels that are or were suspicious, if that is known. "words" describes the progress, and "left"
    is the remark of `Left` if the labels were checked.
    """
    counts = {"reviewed": 0, "corrected": 0}
    if dataset.get_field(REVIEW) is not None:
        own = {f"{REVIEW}.label_field": columns.label_field}
        differs = {"$ne": [f"${REVIEW}.old_label", f"${REVIEW}.new_label"]}
        group = {
            "_id": None,
            "reviewed": {"$sum": 1},
            "corrected": {"$sum": {"$cond": [differs, 1, 0]}},
        }
        for row in dataset._sample_collection.aggregate([{"$match": own}, {"$group": group}]):
            counts = {name: row[name] for name in counts}
    estimate = dict(dataset.info.get(ISSUES_KEY) or {}).get("estimate")
    left = left_to_review(dataset, columns)
    if estimate is None and columns.suggestion:
        counts["suspicious"] = left.suspicious + counts["reviewed"]
    counts |= {"estimate": estimate, "left": left.words if columns.suggestion else ""}
    return counts | {"words": progress_words(counts)}


def progress_words(progress: dict) -> str:
    """Format the progress of the review, such as "18 of about 27 reviewed, 11 corrected"."""
    reviewed, estimate = progress["reviewed"], progress["estimate"]
    corrected = f"{progress['corrected']} corrected"
    if estimate is not None and reviewed > estimate:
        were = "1 was" if estimate == 1 else f"{estimate} were"
        return f"{reviewed} reviewed, {corrected}; about {were} expected to be wrong"
    of = ""
    if estimate is not None:
        of = f" of about {estimate}"
    elif progress.get("suspicious") is not None:
        of = f" of {progress['suspicious']} suspicious"
    return f"{reviewed}{of} reviewed, {corrected}"


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
        the "cards"; "rest" is the number of labels in the queue after them
    """
    columns, left_out = columns_of(dataset, label_field), set(known)
    ids = [x for x in queue_ids(dataset, columns, filters) if x not in left_out]
    return {
        "label_field": columns.label_field,
        "rest": max(len(ids) - limit, 0),
        "cards": cards(dataset, columns, ids[:limit]),
        "progress": progress_of(dataset, columns),
        **choices_of(dataset, columns),
    }
