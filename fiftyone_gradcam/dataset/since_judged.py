"""Changes to labels since label issues were found: by reviews, or otherwise."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import fiftyone as fo

from .basis import Snapshot, digest
from .label_totals import label_issues_info
from .review_counts import review_counts
from .review_state import HISTORY, REVIEW, columns_of
from .reviews import LEFT_OUT


@dataclass(frozen=True)
class Changes:
    """Changes to labels since they were judged.

    Attributes:
        corrected: the number of labels that reviews have changed
        left_out: the number of samples that reviews have excluded or marked as unclear
        open: the number of suspicious labels that are not reviewed yet
        elsewhere: whether labels or samples have changed otherwise
    """

    corrected: int
    left_out: int
    open: int
    elsewhere: bool

    @property
    def decided(self) -> int:
        """The number of decisions that may change the judgment of other labels."""
        return self.corrected + self.left_out

    @property
    def words(self) -> str:
        """A description such as "3 labels were corrected and 1 sample was left out"."""
        parts = []
        if self.corrected:
            words = "label was" if self.corrected == 1 else "labels were"
            parts.append(f"{self.corrected} {words} corrected")
        if self.left_out:
            words = "sample was" if self.left_out == 1 else "samples were"
            parts.append(f"{self.left_out} {words} left out")
        return " and ".join(parts)


def are_mixed(
    dataset: fo.Dataset, noted: Mapping, label_field: str, quality: str, ids: Collection[str]
) -> bool:
    """Return whether other samples keep a label quality that is stale or of another label field.

    Call this before the new values are written.

    Args:
        dataset, noted: see `changes_since_judged`
        label_field, quality: the fields of the labels and of their quality in this call
        ids: the ids of the samples that are judged in this call
    """
    if not noted or dataset.get_field(quality) is None:
        return False
    if not set(dataset.exists(quality).values("id")).difference(ids):
        return False
    gone = dataset.get_field(noted.get("label_field") or "") is None
    if gone or noted["label_field"] != label_field or noted["fields"][0] != quality:
        return True
    changes = changes_since_judged(dataset, noted)
    return changes is None or changes.elsewhere or changes.decided > 0


def basis_of_issues(
    dataset: fo.Dataset,
    label_field: str,
    quality: str,
    judged: Mapping[str, str],
    began: str,
    mixed: bool,
) -> dict:
    """Return a digest of the judged labels, to be stored with the label issues.

    Args:
        dataset, label_field: the labels that were judged
        quality: the field of the quality of each label
        judged: the labels that were judged, by sample id
        began: the time when they were read, in UTC and ISO 8601
        mixed: see `are_mixed`

    Returns:
        a dictionary with "began", and "basis": a digest of the labels that have a quality, or ""
        if mixed is True
    """
    snapshot = Snapshot(dataset, label_field, [quality])
    labels = {i: x for i, x in snapshot.labels.items() if _has(snapshot, i, quality)}
    return {"began": began, "basis": "" if mixed else digest({**labels, **judged}.items())}


def changes_since_judged(dataset: fo.Dataset, noted: Mapping) -> Changes | None:
    """Return the changes to labels since `find_label_issues` judged them.

    Args:
        dataset: the dataset of the labels
        noted: the result of `issues.note_label_issues`, as stored in the dataset's info

    Returns:
        the changes; None if an earlier version has stored nothing to compare with
    """
    basis, began = noted.get("basis"), noted.get("began")
    if basis is None or began is None:
        return None
    label_field, quality = noted["label_field"], noted["fields"][0]
    columns = columns_of(dataset, label_field)
    has_reviews = dataset.get_field(REVIEW) is not None and dataset.get_field(HISTORY) is not None
    snapshot = Snapshot(dataset, label_field, [quality])
    then = {i: x for i, x in snapshot.labels.items() if _has(snapshot, i, quality)}
    corrected = left_out = 0
    for row in _reviewed_since(dataset, began) if has_reviews else ():
        sample_id, review = str(row["_id"]), row[REVIEW]
        first = _first_since(row[HISTORY], label_field, began)
        if first is None:
            continue
        corrected += first["old_label"] != review.get("new_label")
        left_out += review["label"] in LEFT_OUT
        if quality not in first["before"]:
            had = sample_id in then
        else:
            had = first["before"][quality] is not None
        then.pop(sample_id, None)
        if had and first["old_label"]:
            then[sample_id] = first["old_label"]
    count = review_counts(dataset, columns).left
    return Changes(corrected, left_out, count, digest(then.items()) != basis)


def estimated_before(dataset: fo.Dataset) -> tuple[str, str] | None:
    """Return the decisions that the estimated number of wrong labels does not include.

    Returns:
        the label field, and words such as "13 labels were corrected"; None if there are no such
        decisions
    """
    noted = label_issues_info(dataset)
    name = noted.get("label_field")
    if name is None or dataset.get_field(name) is None or dataset.get_field(REVIEW) is None:
        return None
    changes = changes_since_judged(dataset, noted)
    return (name, changes.words) if changes is not None and changes.decided else None


def _has(snapshot: Snapshot, sample_id: str, name: str) -> bool:
    return snapshot.values[sample_id].get(name) is not None


def _reviewed_since(dataset: fo.Dataset, began: str) -> Collection[Mapping]:
    """Return the stored reviews of samples that were reviewed since a time."""
    since = {f"{REVIEW}.time": {"$gt": began}, HISTORY: {"$type": "array"}}
    return list(dataset._sample_collection.find(since, [REVIEW, HISTORY]))


def _first_since(history: list[str], label_field: str, began: str) -> dict | None:
    """Return the first decision about a label since a time; None if there is none."""
    lines = (json.loads(line) for line in history)
    own = (x for x in lines if x["label_field"] == label_field and (x["time"] or "") > began)
    return next(own, None)
