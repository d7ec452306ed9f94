"""Decisions about labels: each is stored with the sample, in one write, with all that undoes it.

`review` holds the last decision about a sample; `review_history` a line of JSON for each, which
together are the journal of the dataset. They go wherever the samples go: a clone has them, another
import leaves them alone, and there is no moment at which a label is changed and its decision is not
there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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
LEFT_OUT = ("unclear", "exclude")  # of training, splits and evaluation
OPTIONS = json_util.CANONICAL_JSON_OPTIONS  # numbers stay what they are
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
    """Decide while nobody else does. A training or prediction may run meanwhile."""
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


def journal(samples: fo.core.collections.SampleCollection) -> list[Review]:
    """All decisions that hold about some samples, oldest first."""
    return [one for one, _ in _entries(samples)]


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
    samples: fo.core.collections.SampleCollection, include: bool = False, tells: bool = True
) -> fo.core.collections.SampleCollection:
    """The samples that may be used.

    Args:
        samples: a dataset or view
        include: take all of them
        tells: print how many are left out
    """
    found = {} if include else left_out(samples)
    if not found:
        return samples
    if tells:
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


def line_of(one: Review, row: Mapping, columns: Columns, changes: Mapping) -> str:
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


def review_document(one: Review) -> dict:
    """What `review` holds of a decision."""
    facts = {name: getattr(one, name) for name in _TEXTS}
    return document(fo.Classification, label=one.decision, **facts)


def document_before(row: Mapping, history: Sequence[str]) -> dict | None:
    """What `review` held when the last line of a history was written; None of no history."""
    if not history:
        return None
    facts = json_util.loads(history[-1], json_options=OPTIONS)
    return {**review_document(review_in(row, facts)), "_id": facts["id"]}


def review_in(row: Mapping, facts: Mapping) -> Review:
    """A decision of a sample's history, out of the facts of its line."""
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
        found += [(review_in(row, json.loads(line)), line) for line in lines]
    return sorted(found, key=lambda pair: pair[0].time)
