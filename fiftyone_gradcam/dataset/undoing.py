"""Undo decisions about labels: those of one or several calls, in a single write."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping

import fiftyone as fo
from bson import ObjectId, json_util
from pymongo import UpdateOne

from .decisions import changed_since, time_now, write_decisions
from .label_schema import remove_unused_classes
from .review_state import (
    HISTORY,
    REVIEW,
    Columns,
    columns_of,
    label_in,
    own_score,
    stored_as,
    stored_values,
)
from .reviews import OPTIONS, Review, document_before, review_in

Step = list[tuple[Review, str]]  # the decisions of one call, each with its line of the history


def undo(dataset: fo.Dataset, count: int) -> list[Review]:
    """Undo the last steps, all or none: restore labels, scores and `review`.

    Values that were stored since, such as predictions of another run, are kept; their label score
    becomes that of the restored label. The caller must hold the lock of `reviewing`.

    Args:
        dataset: the dataset that was reviewed
        count: the number of steps to undo, at least 1; all if there are fewer

    Returns:
        the decisions that were undone, latest first

    Raises:
        ValueError: if a label has been changed outside of reviews since; nothing is undone
    """
    undone: list[Review] = []
    asked: dict[str, dict] = {}  # by sample id: values that must be unchanged when it is written
    changes: dict[str, dict] = {}
    given: dict[str, set[str | None]] = {}  # by label field: classes of the undone steps
    left: dict[str, dict] = {}  # by sample id: its values after the steps undone so far
    for _ in range(count):
        last = _last_step(dataset, left)
        if not last:
            break
        columns = columns_of(dataset, last[0][0].label_field)
        rows = stored_values(dataset, [one.sample_id for one, _ in last], columns)
        for one, line in last:
            stored = rows[one.sample_id]
            own = changes.setdefault(one.sample_id, {})
            row = _changed(stored, own)
            if (label := label_in(row, columns)) != one.new_label:
                raise ValueError(changed_since(row, one.new_label, label, "it was reviewed"))
            same = asked.setdefault(one.sample_id, {"_id": stored["_id"], HISTORY: stored[HISTORY]})
            same.setdefault(columns.label, stored_as(label_in(stored, columns)))
            history = row[HISTORY][:-1]
            given.setdefault(one.label_field, set()).add(one.new_label)
            own |= _values_before(line, row, columns, one.old_label)
            own[HISTORY] = history or None
            own[REVIEW] = document_before(row, history)
            left[one.sample_id] = _changed(row, own)
        undone += [one for one, _ in last]
    time = time_now()
    writes = [
        UpdateOne(asked[i], {"$set": {**own, "last_modified_at": time}})
        for i, own in changes.items()
    ]
    write_decisions(dataset, writes)
    for label_field, classes in given.items():
        remove_unused_classes(dataset, label_field, classes)
    return undone


def _last_step(dataset: fo.Dataset, left: Mapping[str, Mapping]) -> Step:
    """Return the decisions of the last call, for samples that exist.

    Args:
        dataset: the dataset that was reviewed
        left: values of samples by id, used instead of the stored ones
    """
    if dataset.get_field(HISTORY) is None:
        return []
    collection, others = dataset._sample_collection, _all_but(left)
    decided = {HISTORY: {"$type": "array", "$ne": []}}
    newest = collection.find_one(
        {**others, **decided}, ["filepath", HISTORY], sort=[(f"{REVIEW}.time", -1)]
    )
    found = _last_lines([*left.values(), *([newest] if newest else [])])
    if not found:
        return []
    last, _ = max(found, key=lambda pair: pair[0].time)
    rows = collection.find({**others, f"{REVIEW}.time": last.time}, ["filepath", HISTORY])
    return [pair for pair in _last_lines([*left.values(), *rows]) if pair[0].step == last.step]


def _all_but(ids: Collection[str]) -> dict:
    return {"_id": {"$nin": [ObjectId(i) for i in ids]}} if ids else {}


def _last_lines(rows: Iterable[Mapping]) -> Step:
    """Return the last decision about each of some samples, if it has one."""
    lines = ((row, row[HISTORY][-1]) for row in rows if row.get(HISTORY))
    return [(review_in(row, json.loads(line)), line) for row, line in lines]


def _changed(row: Mapping, changes: Mapping) -> dict:
    """Return the values of a sample after some changes.

    Args:
        row: the current values
        changes: new values by the path of a field or of its attribute
    """
    found = dict(row)
    for path, value in changes.items():
        name, _, attribute = path.partition(".")
        found[name] = {**(found.get(name) or {}), attribute: value} if attribute else value
    return found


def _values_before(line: str, row: Mapping, columns: Columns, label: str | None) -> dict:
    """Return the values that restore what an undone decision has changed."""
    facts = json_util.loads(line, json_options=OPTIONS)
    before = facts["before"]
    values = {columns.label_field: before[columns.label_field]}
    quality = columns.quality
    if quality in before and row.get(quality) == facts["quality_after"]:  # not checked again since
        values[quality] = before[quality]
    for name in (columns.suggestion, columns.issue):  # removed by the decision
        if name in before and row.get(name) is None:
            values[name] = before[name]
    for name, classes in columns.scores.items():
        own = row.get(name)
        if not own:
            continue
        old = facts["scores"].get(name)
        is_same = old is not None and old["_id"] == own["_id"]
        score = own_score(row.get(f"{name}_scores"), classes, label)
        values[f"{name}.label_score"] = old["label_score"] if is_same else score
    return values
