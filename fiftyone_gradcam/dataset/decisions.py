"""Store decisions about labels, and add edits made elsewhere to the journal."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import fiftyone as fo
from pymongo import UpdateOne

from ..progress import some
from .documents import document
from .evidence import evidence_in, suggestion_in
from .label_schema import add_classes
from .review_state import (
    HISTORY,
    REVIEW,
    Columns,
    changes_for,
    label_in,
    stored_as,
    stored_values,
)
from .reviews import (
    LEFT_OUT,
    Review,
    declare_review,
    line_of,
    review_document,
)

ELSEWHERE = "edited outside of reviews"


def decide(
    dataset: fo.Dataset,
    ids: Sequence[str],
    columns: Columns,
    decision: str,
    new_label: Callable[[str, Mapping], str | None],
    source: str,
    shown: Mapping[str, str | None] | None = None,
) -> list[Review]:
    """Store a decision about some samples, for all of them or for none.

    The caller must hold the lock of `reviewing`.

    Args:
        dataset, ids: the samples
        columns: the fields of their labels and scores
        decision: one of DECISIONS
        new_label: a function of the id and the stored values of a sample that returns its label
        source: where the decision was made, such as "Python"
        shown: by sample id, the labels that the user saw when deciding

    Raises:
        ValueError: if a sample was deleted, or if its label is not the one that was shown
    """
    rows = stored_values(dataset, ids, columns)
    if gone := [i for i in ids if i not in rows]:
        raise ValueError(
            f"{len(gone)} of {len(ids)} samples have been deleted from {dataset.name!r} in the "
            f"meantime: {some(gone)}. Nothing was stored. Select the samples again"
        )
    for sample_id, label in (shown or {}).items():
        now = label_in(rows[sample_id], columns) if sample_id in rows else label
        if now != label:
            raise ValueError(changed_since(rows[sample_id], label, now))
    declare_review(dataset)  # all checks have passed
    labels = {i: (label_in(rows[i], columns), new_label(i, rows[i])) for i in ids}
    # Labels are written last and at once. If the call is interrupted before, it can be repeated.
    chosen = {after for before, after in labels.values() if after not in (before, None)}
    if chosen:
        add_classes(dataset, columns.label_field, sorted(chosen), in_review=True)
    time, step = time_now().replace(tzinfo=None).isoformat(), uuid.uuid4().hex
    made, writes = [], []
    for sample_id, (before, after) in labels.items():
        row = rows[sample_id]
        one = Review(
            sample_id,
            row["filepath"],
            decision,
            before,
            after,
            columns.label_field,
            source,
            time,
            evidence_in(row, columns),
            suggestion_in(row, columns),
            step,
        )
        changes = changes_for(row, columns, after, decision not in LEFT_OUT)
        changes[REVIEW] = review_document(one)
        changes[HISTORY] = [*(row.get(HISTORY) or []), line_of(one, row, columns, changes)]
        own = {"_id": row["_id"], columns.label: stored_as(before)}
        writes.append(UpdateOne(own, {"$set": {**changes, "last_modified_at": time_now()}}))
        made.append(one)
    write_decisions(dataset, writes)
    return made


def adopt_edits(dataset: fo.Dataset, columns: Columns) -> list[Review]:
    """Add labels that were edited elsewhere, such as in Annotate, to the journal as corrections.

    These labels differ from the last decision, or else from the label as imported. Their scores are
    updated as in a review. The caller must hold the lock of `reviewing`.
    """
    edited = _edited(dataset, columns)
    if not edited:
        return []
    declare_review(dataset)
    rows = stored_values(dataset, edited, columns)
    time, step = time_now().replace(tzinfo=None).isoformat(), uuid.uuid4().hex
    made, writes = [], []
    for sample_id, row in rows.items():
        old, now = edited[sample_id], label_in(row, columns)
        if old == now:
            continue
        words = (evidence_in(row, columns), suggestion_in(row, columns))
        facts = ("relabel", old, now, columns.label_field, ELSEWHERE, time, *words, step)
        one = Review(sample_id, row["filepath"], *facts)
        before = {**row, columns.label_field: _with_label(row, columns, old)}
        changes = changes_for(before, columns, now, vouched=True)
        changes.pop(columns.label_field)
        changes[REVIEW] = review_document(one)
        changes[HISTORY] = [*(row.get(HISTORY) or []), line_of(one, before, columns, changes)]
        changes["last_modified_at"] = time_now()  # or counts that were made before would be kept
        own = {"_id": row["_id"], columns.label: stored_as(now)}
        writes.append(UpdateOne(own, {"$set": changes}))
        made.append(one)
    write_decisions(dataset, writes)
    return made


def _edited(dataset: fo.Dataset, columns: Columns) -> dict[str, str | None]:
    """Return the samples whose label differs from the decided or imported one, with the latter."""
    now = {"$ifNull": [f"${columns.label}", None]}
    decided = {"$eq": [f"${REVIEW}.label_field", columns.label_field]}
    imported = {"$ifNull": [f"${columns.imported}", None]} if columns.imported else now
    known = {"$cond": [decided, {"$ifNull": [f"${REVIEW}.new_label", None]}, imported]}
    differs = {"$match": {"$expr": {"$ne": [now, known]}}}
    found = dataset._sample_collection.aggregate([differs, {"$project": {"known": known}}])
    return {str(row["_id"]): row["known"] or None for row in found}


def _with_label(row: Mapping, columns: Columns, label: str | None) -> object:
    """Return the value of the label field with another label."""
    if columns.label == columns.label_field or label is None:
        return label
    own = row.get(columns.label_field)
    return {**own, "label": label} if own else document(fo.Classification, label=label)


def write_decisions(dataset: fo.Dataset, writes: list[UpdateOne]) -> None:
    """Store decisions.

    Raises:
        ValueError: if labels were changed by another process at the same time
    """
    if not writes:
        return
    collection = dataset._sample_collection
    result = collection.bulk_write(writes, ordered=False)
    fo.Sample._reload_docs(dataset._sample_collection_name)
    if result.matched_count < len(writes):
        missed = len(writes) - result.matched_count
        raise ValueError(
            f"{missed} of {len(writes)} labels were changed elsewhere at the same time, and no "
            f"decision about them was stored. Review them again"
        )


def changed_since(
    row: Mapping, then: str | None, now: str | None, since: str = "it was shown"
) -> str:
    """Return the message for a label that was changed elsewhere.

    Args:
        row: the stored values of the sample
        then, now: the label before, and the current one
        since: the event after which the label was changed, in words
    """
    return (
        f"The label of {row['filepath']} is {now!r}, but was {then!r} when {since}: it was changed "
        f"elsewhere, and is left as it is. Review it again"
    )


def time_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
