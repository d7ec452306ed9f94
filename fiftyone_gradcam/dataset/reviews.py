"""Decisions about labels, stored with the samples, together with what is needed to undo them.

The field `review` holds the last decision about a sample. `review_history` holds a line of JSON for
each decision; all lines together are the journal of the dataset. Clones of a dataset contain both,
and imports do not change them. A label and its decision are always written together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import fiftyone as fo
from bson import json_util

from ..locks import locked
from .documents import document
from .fields import index, refresh, root_dataset, whole
from .review_state import (
    HISTORY,
    REVIEW,
    Columns,
)
from .storing import Declared, declare
from .writing import patience

DECISIONS = ("accept", "relabel", "keep", "unclear", "exclude")
LEFT_OUT = ("unclear", "exclude")  # samples that are not used for training, splits and evaluation
OPTIONS = json_util.CANONICAL_JSON_OPTIONS  # preserves the types of numbers
_TEXTS = ("label_field", "old_label", "new_label", "source", "time", "evidence", "suggestion")


@dataclass(frozen=True)
class Review:
    """A decision about the label of a sample.

    Attributes:
        sample_id, filepath: the sample
        decision: "accept", "relabel", "keep", "unclear" or "exclude"
        old_label, new_label: the label before and after; None if there is none
        label_field: the field of the label
        source: where the decision was made, such as "Python"
        time: when it was made, in UTC and ISO 8601; None if the label was edited outside of reviews
        evidence: why the label was suspicious at that time, in words
        suggestion: the class that was suggested at that time; None if there was none
        step: an id shared by all decisions of one call
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
        """Whether the decision changed the label."""
        return self.old_label != self.new_label


@contextmanager
def reviewing(dataset: fo.Dataset) -> Iterator[None]:
    """Hold the lock for reviews of a dataset; trainings and predictions may run meanwhile."""
    label = f"The reviews of dataset {dataset.name!r}"
    with locked(f"reviews {dataset._doc.id}", label, patience()):
        refresh(dataset)
        yield


def declare_review(dataset: fo.Dataset) -> None:
    """Create the fields of reviews, if they do not exist."""
    if dataset.get_field(REVIEW) is None:
        words = "The last decision about the label of this sample"
        attributes = dict.fromkeys(_TEXTS, "text")
        declare(dataset, REVIEW, Declared("classification", words, {}, attributes))
        index(dataset, [f"{REVIEW}.time"])  # used to find the last decision
    if dataset.get_field(HISTORY) is None:
        words = "All decisions about this sample, with the values that undo them"
        declare(dataset, HISTORY, Declared("texts", words, {}, {}))


def journal(samples: fo.core.collections.SampleCollection) -> list[Review]:
    """Return all decisions about some samples that were not undone, oldest first."""
    return [one for one, _ in _entries(samples)]


def spans(reviews: Iterable[Review]) -> dict[str, tuple[str | None, Review]]:
    """Return the label before the first of some decisions, and the last of them, by sample id.

    Args:
        reviews: decisions about one label field, oldest first
    """
    found: dict[str, tuple[str | None, Review]] = {}
    for one in reviews:
        before, _ = found.get(one.sample_id, (one.old_label, one))
        found[one.sample_id] = before, one
    return found


def left_out(samples: fo.core.collections.SampleCollection) -> dict[str, list[str]]:
    """Return the ids of samples that reviews have excluded or marked as unclear, by decision."""
    dataset = root_dataset(samples)
    if dataset.get_field(REVIEW) is None:
        return {}
    decided = whole(samples).match({f"{REVIEW}.label": {"$in": list(LEFT_OUT)}})
    found: dict[str, list[str]] = {}
    for sample_id, decision in zip(*decided.values(["id", f"{REVIEW}.label"]), strict=True):
        found.setdefault(decision, []).append(sample_id)
    return found


def without_left_out(
    samples: fo.core.collections.SampleCollection, include: bool = False, verbose: bool = True
) -> fo.core.collections.SampleCollection:
    """Return the samples that are not left out by reviews.

    Args:
        samples: a dataset or view
        include: return all samples
        verbose: print how many are left out
    """
    found = {} if include else left_out(samples)
    if not found:
        return samples
    if verbose:
        print(f"Left out by reviews: {left_out_words(found)}. include_excluded=True uses them")
    return samples.exclude([i for ids in found.values() for i in ids])


def vouched(dataset: fo.Dataset, label_field: str) -> dict[str, str]:
    """Return the labels that a person has chosen or confirmed, by sample id."""
    decided = {
        f"{REVIEW}.label_field": label_field,
        f"{REVIEW}.label": {"$in": [x for x in DECISIONS if x not in LEFT_OUT]},
    }
    rows = dataset._sample_collection.find(decided, [f"{REVIEW}.new_label"])
    return {str(row["_id"]): row[REVIEW].get("new_label") for row in rows}


def left_out_words(found: Mapping[str, Sequence[str]]) -> str:
    """Format the numbers of samples that are left out, such as "3 excluded, 1 unclear"."""
    names = {"exclude": "excluded", "unclear": "unclear"}
    return ", ".join(f"{len(ids)} {names[decision]}" for decision, ids in sorted(found.items()))


def line_of(one: Review, row: Mapping, columns: Columns, changes: Mapping) -> str:
    """Return the line of the history for a decision, with the values before and after it.

    Args:
        one: the decision
        row: the values of its sample before
        columns: the fields of the dataset
        changes: the values after, by field
    """
    facts = {name: getattr(one, name) for name in ("decision", "step", *_TEXTS)}
    before = {columns.label_field: row.get(columns.label_field)}
    if columns.quality in changes:
        before[columns.quality] = row.get(columns.quality)
        facts["quality_after"] = changes[columns.quality]
    before |= {x: row[x] for x in (columns.suggestion, columns.issue) if x in changes}
    scores = {
        name: {"_id": row[name]["_id"], "label_score": row[name].get("label_score")}
        for name in columns.scores
        if row.get(name)
    }
    facts |= {"id": changes[REVIEW]["_id"], "before": before, "scores": scores}
    return json_util.dumps(facts, json_options=OPTIONS)


def review_document(one: Review) -> dict:
    """Return the value of the field `review` for a decision."""
    facts = {name: getattr(one, name) for name in _TEXTS}
    return document(fo.Classification, label=one.decision, **facts)


def document_before(row: Mapping, history: Sequence[str]) -> dict | None:
    """Return the value of the field `review` for the last line of a history; None without one."""
    if not history:
        return None
    facts = json_util.loads(history[-1], json_options=OPTIONS)
    return {**review_document(review_in(row, facts)), "_id": facts["id"]}


def review_in(row: Mapping, facts: Mapping) -> Review:
    """Return the decision that a line of a sample's history describes."""
    known = {name: facts[name] for name in ("decision", "step", *_TEXTS)}
    return Review(sample_id=str(row["_id"]), filepath=row["filepath"], **known)


def _entries(samples: fo.core.collections.SampleCollection) -> list[tuple[Review, str]]:
    """Return all decisions about some samples with their lines, oldest first."""
    if root_dataset(samples).get_field(HISTORY) is None:
        return []
    found = []
    for sample_id, path, lines in zip(
        *samples.exists(HISTORY).values(["id", "filepath", HISTORY]), strict=True
    ):
        row = {"_id": sample_id, "filepath": path}
        found += [(review_in(row, json.loads(line)), line) for line in lines]
    return sorted(found, key=lambda pair: pair[0].time)
