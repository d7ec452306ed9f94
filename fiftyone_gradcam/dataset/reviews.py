"""Decisions about labels: each is stored with the sample, in one write, with all that undoes it.

`review` holds the last decision about a sample; `review_history` a line of JSON for each, which
together are the journal of the dataset. They go wherever the samples go: a clone has them, another
import leaves them alone, and there is no moment at which a label is changed and its decision is not
there.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import fiftyone as fo
from bson import json_util
from pymongo import UpdateOne

from ..locks import locked
from ..progress import some
from .documents import document
from .fields import index, refresh, root_dataset, whole
from .review_state import (
    HISTORY,
    REVIEW,
    Columns,
    changes_for,
    columns_of,
    evidence_in,
    label_in,
    own_score,
    stored_values,
    suggestion_in,
)
from .storing import Declared, declare
from .writing import patience

DECISIONS = ("accept", "relabel", "keep", "unclear", "exclude")
LEFT_OUT = ("unclear", "exclude")  # of training, splits and evaluation
OPTIONS = json_util.CANONICAL_JSON_OPTIONS  # numbers stay what they are
ELSEWHERE = "edited outside of reviews"
_TEXTS = ("label_field", "old_label", "new_label", "source", "time", "evidence", "suggestion")


@dataclass(frozen=True)
class Review:
    """A decision about the label of a sample.

    Attributes:
        sample_id, filepath: of the sample
        decision: "accept", "relabel", "keep", "unclear" or "exclude"
        old_label, new_label: before and after; None of no label
        label_field: the labels that it is about
        source: where it was made, such as "Python"
        time: when, in UTC and ISO 8601; None of a label that was edited outside of reviews
        evidence: what was known then, in words
        suggestion: the class that was suggested then
        step: what was decided in one call has the same
    """

    sample_id: str
    filepath: str
    decision: str
    old_label: str | None
    new_label: str | None
    label_field: str
    source: str
    time: str | None
    evidence: str
    suggestion: str | None
    step: str | None

    @property
    def is_correction(self) -> bool:
        """Whether it changed the label."""
        return self.old_label != self.new_label


@contextmanager
def reviewing(dataset: fo.Dataset) -> Iterator[None]:
    """Decide while nobody else does. A training or prediction may go on meanwhile."""
    label = f"The reviews of dataset {dataset.name!r}"
    with locked(f"reviews {dataset._doc.id}", label, patience()):
        refresh(dataset)
        yield


def declare_review(dataset: fo.Dataset) -> None:
    """Make the fields of reviews, if they are not there."""
    if dataset.get_field(REVIEW) is None:
        words = "The last decision about the label of this sample"
        attributes = dict.fromkeys(_TEXTS, "text")
        declare(dataset, REVIEW, Declared("classification", words, {}, attributes))
        index(dataset, [f"{REVIEW}.time"])  # by which the last decision is found
    if dataset.get_field(HISTORY) is None:
        words = "All decisions about this sample, with what undoes them"
        declare(dataset, HISTORY, Declared("texts", words, {}, {}))


def decide(
    dataset: fo.Dataset,
    ids: Sequence[str],
    columns: Columns,
    decision: str,
    new_label: Callable[[str, Mapping], str | None],
    source: str,
    shown: Mapping[str, str | None] | None = None,
) -> list[Review]:
    """Store a decision about some samples; about all of them or none.

    The caller holds the dataset by `reviewing`.

    Args:
        dataset, ids: the samples
        columns: where their labels and scores are
        decision: one of DECISIONS
        new_label: says the label of a sample (id, what the database has of it)
        source: where it was made
        shown: labels by sample id as they were when somebody looked at them

    Raises:
        ValueError: if a sample is gone, or its label is not what was shown
    """
    rows = stored_values(dataset, ids, columns)
    if gone := [i for i in ids if i not in rows]:
        raise ValueError(
            f"{len(gone)} of {len(ids)} samples have been deleted from {dataset.name!r} meanwhile: "
            f"{some(gone)}. Nothing is decided; choose again among those that are left"
        )
    for sample_id, label in (shown or {}).items():
        now = label_in(rows[sample_id], columns) if sample_id in rows else label
        if now != label:
            raise ValueError(_changed(rows[sample_id], label, now))
    declare_review(dataset)  # now that nothing is refused any more
    time, step = _now().replace(tzinfo=None).isoformat(), uuid.uuid4().hex
    made, writes = [], []
    for sample_id in ids:
        row, after = rows[sample_id], new_label(sample_id, rows[sample_id])
        before = label_in(row, columns)
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
        changes[REVIEW] = _document(one)
        changes[HISTORY] = [*(row.get(HISTORY) or []), _line(one, row, columns, changes)]
        own = {"_id": row["_id"], columns.label: before}
        writes.append(UpdateOne(own, {"$set": {**changes, "last_modified_at": _now()}}))
        made.append(one)
    _write(dataset, writes)
    return made


def undo(dataset: fo.Dataset, count: int) -> list[Review]:
    """Take the last steps back: labels, scores and `review` are what they were.

    What was stored again since, such as predictions of another run, stays, with the score of the
    label that is back. The caller holds the dataset by `reviewing`.

    Raises:
        ValueError: if a label has been changed since by somebody else; nothing is undone then
    """
    undone: list[Review] = []
    for _ in range(count):
        last = _last_step(dataset)
        if not last:
            break
        columns = columns_of(dataset, last[0][0].label_field)
        rows = stored_values(dataset, [one.sample_id for one, _ in last], columns)
        writes = []
        for one, line in last:
            row = rows[one.sample_id]
            if label_in(row, columns) != one.new_label:
                raise ValueError(
                    _changed(row, one.new_label, label_in(row, columns), "it was reviewed")
                    + (f". {len(undone)} earlier ones are undone" if undone else "")
                )
            history = row[HISTORY][:-1]
            own = {"_id": row["_id"], columns.label: one.new_label, HISTORY: row[HISTORY]}
            values = _values_before(line, row, columns, one.old_label)
            values[HISTORY] = history or None
            values[REVIEW] = _document_before(row, history)
            values["last_modified_at"] = _now()
            writes.append(UpdateOne(own, {"$set": values}))
        _write(dataset, writes)
        undone += [one for one, _ in last]
    return undone


def journal(samples: fo.core.collections.SampleCollection) -> list[Review]:
    """All decisions that hold about some samples, oldest first."""
    return [one for one, _ in _entries(samples)]


def adopt_edits(dataset: fo.Dataset, columns: Columns) -> list[Review]:
    """Take labels that were edited elsewhere, such as by Annotate, into the journal as corrections.

    They differ from the last decision, or else from the label as it was imported. Their scores
    follow as if they had been reviewed. The caller holds the dataset by `reviewing`.
    """
    edited = _edited(dataset, columns)
    if not edited:
        return []
    declare_review(dataset)
    rows = stored_values(dataset, edited, columns)
    time, step = _now().replace(tzinfo=None).isoformat(), uuid.uuid4().hex
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
        changes[REVIEW] = _document(one)
        changes[HISTORY] = [*(row.get(HISTORY) or []), _line(one, before, columns, changes)]
        writes.append(UpdateOne({"_id": row["_id"], columns.label: now}, {"$set": changes}))
        made.append(one)
    _write(dataset, writes)
    return made


def _edited(dataset: fo.Dataset, columns: Columns) -> dict[str, str | None]:
    """Samples whose label is another than it was decided or imported, and what it was."""
    now = {"$ifNull": [f"${columns.label}", None]}
    decided = {"$eq": [f"${REVIEW}.label_field", columns.label_field]}
    imported = {"$ifNull": [f"${columns.imported}", None]} if columns.imported else now
    known = {"$cond": [decided, {"$ifNull": [f"${REVIEW}.new_label", None]}, imported]}
    differs = {"$match": {"$expr": {"$ne": [now, known]}}}
    found = dataset._sample_collection.aggregate([differs, {"$project": {"known": known}}])
    return {str(row["_id"]): row["known"] or None for row in found}


def _with_label(row: Mapping, columns: Columns, label: str | None) -> object:
    """The value of the label field with another label."""
    if columns.label == columns.label_field or label is None:
        return label
    own = row.get(columns.label_field)
    return {**own, "label": label} if own else document(fo.Classification, label=label)


def left_out(samples: fo.core.collections.SampleCollection) -> dict[str, list[str]]:
    """Ids of samples that reviews have excluded or called unclear, by decision."""
    dataset = root_dataset(samples)
    if dataset.get_field(REVIEW) is None:
        return {}
    decided = whole(samples).match({f"{REVIEW}.label": {"$in": list(LEFT_OUT)}})
    found: dict[str, list[str]] = {}
    for sample_id, decision in zip(*decided.values(["id", f"{REVIEW}.label"]), strict=True):
        found.setdefault(decision, []).append(sample_id)
    return found


def without_left_out(
    samples: fo.core.collections.SampleCollection, include: bool = False
) -> fo.core.collections.SampleCollection:
    """The samples that may be used; says how many are left out.

    Args:
        samples: a dataset or view
        include: take all of them
    """
    found = {} if include else left_out(samples)
    if not found:
        return samples
    print(f"Left out by reviews: {left_out_words(found)}. include_excluded=True uses them")
    return samples.exclude([i for ids in found.values() for i in ids])


def vouched(dataset: fo.Dataset, label_field: str) -> dict[str, str]:
    """Labels that a person has chosen or confirmed, by the ids of their samples."""
    decided = {
        f"{REVIEW}.label_field": label_field,
        f"{REVIEW}.label": {"$in": [x for x in DECISIONS if x not in LEFT_OUT]},
    }
    rows = dataset._sample_collection.find(decided, [f"{REVIEW}.new_label"])
    return {str(row["_id"]): row[REVIEW].get("new_label") for row in rows}


def left_out_words(found: Mapping[str, Sequence[str]]) -> str:
    """How many samples are left out and why, in words."""
    names = {"exclude": "excluded", "unclear": "unclear"}
    return ", ".join(f"{len(ids)} {names[decision]}" for decision, ids in sorted(found.items()))


def _line(one: Review, row: Mapping, columns: Columns, changes: Mapping) -> str:
    """A decision as the history has it: with what was there before, and what is there now."""
    facts = {name: getattr(one, name) for name in ("decision", "step", *_TEXTS)}
    before = {columns.label_field: row.get(columns.label_field)}
    if columns.quality in changes:
        before[columns.quality] = row.get(columns.quality)
        facts["quality_after"] = changes[columns.quality]
    scores = {
        name: {"_id": row[name]["_id"], "label_score": row[name].get("label_score")}
        for name in columns.scores
        if row.get(name)
    }
    facts |= {"id": changes[REVIEW]["_id"], "before": before, "scores": scores}
    return json_util.dumps(facts, json_options=OPTIONS)


def _values_before(line: str, row: Mapping, columns: Columns, label: str | None) -> dict:
    """What an undone decision has changed, as it was."""
    facts = json_util.loads(line, json_options=OPTIONS)
    before = facts["before"]
    values = {columns.label_field: before[columns.label_field]}
    quality = columns.quality
    if quality in before and row.get(quality) == facts["quality_after"]:  # not judged since
        values[quality] = before[quality]
    for name, classes in columns.scores.items():
        own = row.get(name)
        if not own:
            continue
        old = facts["scores"].get(name)
        is_same = old is not None and old["_id"] == own["_id"]
        score = own_score(row.get(f"{name}_scores"), classes, label)
        values[f"{name}.label_score"] = old["label_score"] if is_same else score
    return values


def _document(one: Review) -> dict:
    facts = {name: getattr(one, name) for name in _TEXTS}
    return document(fo.Classification, label=one.decision, **facts)


def _document_before(row: Mapping, history: Sequence[str]) -> dict | None:
    """What `review` held when the last line of a history was written; None of no history."""
    if not history:
        return None
    facts = json_util.loads(history[-1], json_options=OPTIONS)
    return {**_document(_read(row, facts)), "_id": facts["id"]}


def _read(row: Mapping, facts: Mapping) -> Review:
    known = {name: facts[name] for name in ("decision", "step", *_TEXTS)}
    return Review(sample_id=str(row["_id"]), filepath=row["filepath"], **known)


def _entries(samples: fo.core.collections.SampleCollection) -> list[tuple[Review, str]]:
    """All decisions about some samples with their lines, oldest first."""
    if root_dataset(samples).get_field(HISTORY) is None:
        return []
    found = []
    for sample_id, path, lines in zip(
        *samples.exists(HISTORY).values(["id", "filepath", HISTORY]), strict=True
    ):
        row = {"_id": sample_id, "filepath": path}
        found += [(_read(row, json.loads(line)), line) for line in lines]
    return sorted(found, key=lambda pair: pair[0].time)


def _last_step(dataset: fo.Dataset) -> list[tuple[Review, str]]:
    """The decisions of the last call, about samples that are there."""
    if dataset.get_field(HISTORY) is None:
        return []
    times = dataset._sample_collection
    newest = times.find_one({HISTORY: {"$type": "array"}}, [HISTORY], sort=[(f"{REVIEW}.time", -1)])
    if newest is None or not newest.get(HISTORY):
        return []
    time = json.loads(newest[HISTORY][-1])["time"]
    step = json.loads(newest[HISTORY][-1])["step"]
    rows = times.find({f"{REVIEW}.time": time}, ["filepath", HISTORY])
    pairs = [(_read(row, json.loads(row[HISTORY][-1])), row[HISTORY][-1]) for row in rows]
    return [pair for pair in pairs if pair[0].step == step]


def _write(dataset: fo.Dataset, writes: list[UpdateOne]) -> None:
    """Store decisions.

    Raises:
        ValueError: if labels were changed by somebody else at this very moment
    """
    if not writes:
        return
    collection = dataset._sample_collection
    result = collection.bulk_write(writes, ordered=False)
    fo.Sample._reload_docs(dataset._sample_collection_name)
    if result.matched_count < len(writes):
        missed = len(writes) - result.matched_count
        raise ValueError(
            f"{missed} of {len(writes)} labels were changed by somebody else at this moment, and "
            f"are left as they are. Look at them again"
        )


def _changed(row: Mapping, then: str | None, now: str | None, since: str = "it was shown") -> str:
    return (
        f"The label of {row['filepath']} is {now!r}, and was {then!r} when {since}: somebody has "
        f"changed it. Nothing is lost or decided; look at it again"
    )


def _now() -> datetime:
    return datetime.now(UTC)
