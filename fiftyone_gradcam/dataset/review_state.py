"""The values that reviews read and change: labels, and the scores that depend on them.

Values are read and written in the form of the database, so that undoing restores them exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import fiftyone as fo
from bson import ObjectId

from ..review.kinds import AMBIGUOUS, FORMER_POSSIBLE, OF_LABELS, POSSIBLE
from .documents import document
from .fields import (
    classification_fields,
    field_info,
    is_owned,
    label_fields,
    label_path,
    path_in,
)
from .import_record import IMPORTED_LABEL, INFO_KEY
from .label_totals import label_issues_info

REVIEW, HISTORY = "review", "review_history"
QUALITY, SUGGESTION, ISSUE = "label_quality", "suggested_label", "issue"
# Kinds of issues that a decision settles.
DOUBTS = (*OF_LABELS, AMBIGUOUS, POSSIBLE, FORMER_POSSIBLE)
VOUCHED = 1.0  # label_quality of a label that a person has chosen or confirmed


@dataclass(frozen=True)
class Columns:
    """The fields of a dataset that reviews use.

    Attributes:
        label_field: the field of the labels under review
        label: the path of the label itself
        scores: by field of predictions that were compared with these labels, the classes in the
            order of its scores
        quality: the field of the quality of these labels; None if they were not checked
        suggestion, issue: the fields of suggested classes and of issues; None if there are none
        imported: the field of the labels as imported; None if there is none
        checked_at: when `find_label_issues` last checked these labels, in UTC and ISO 8601; empty
            if it did not
    """

    label_field: str
    label: str
    scores: Mapping[str, list[str]]
    quality: str | None
    suggestion: str | None
    issue: str | None
    imported: str | None
    checked_at: str = ""

    @property
    def paths(self) -> list[str]:
        """The paths of all values that are read of a sample."""
        found = [self.label_field, "filepath", REVIEW, HISTORY]
        found += [x for x in (self.quality, self.suggestion, self.issue, self.imported) if x]
        for name in self.scores:
            found += [f"{name}._id", f"{name}.label_score", f"{name}_scores"]
        return found


def has_field(dataset: fo.Dataset, name: str) -> bool:
    """Return whether a dataset has a field."""
    return dataset.get_field(name) is not None


def default_label_field(dataset: fo.Dataset) -> str:
    """Return the default label field for reviews.

    This is the field that was checked last, or else that of the import, or else "ground_truth", or
    else the first field of labels.
    """
    judged = field_info(dataset, QUALITY).get("label_field")
    imported = dataset.info.get(INFO_KEY, {}).get("label_field")
    own = [name for name in label_fields(dataset) if not is_owned(dataset.get_field(name))]
    for name in (judged, imported, "ground_truth", *own):
        if name in own:
            return name
    return "ground_truth"


def columns_of(dataset: fo.Dataset, label_field: str | None = None) -> Columns:
    """Find the fields of labels, scores and evidence of a dataset.

    Args:
        dataset: the dataset
        label_field: the field of the labels; by default (None), `default_label_field`

    Raises:
        ValueError: if the field does not hold one label for each sample, or was written by this
            plugin, such as predictions
    """
    label_field = default_label_field(dataset) if label_field is None else label_field
    path = label_path(dataset, label_field)
    if is_owned(dataset.get_field(label_field)):
        raise ValueError(
            f"{label_field!r} was written by this plugin and holds no labels of your own. Name the "
            f"field of the labels, such as {default_label_field(dataset)!r}"
        )
    scores = {
        name: info["classes"]
        for name in classification_fields(dataset)
        if (info := field_info(dataset, name)).get("run")
        and info.get("label_field") == label_field
        and has_field(dataset, f"{name}_scores")
    }

    def about(name: str) -> str | None:
        return name if field_info(dataset, name).get("label_field") == label_field else None

    imported = field_info(dataset, IMPORTED_LABEL).get("label_field") == label_field
    noted = label_issues_info(dataset)
    is_own = noted.get("label_field", label_field) == label_field
    return Columns(
        label_field,
        path,
        scores,
        about(QUALITY),
        about(SUGGESTION),
        ISSUE if has_field(dataset, ISSUE) and is_owned(dataset.get_field(ISSUE)) else None,
        IMPORTED_LABEL if imported else None,
        (noted.get("began") or "") if is_own else "",
    )


def classes_of(dataset: fo.Dataset, label_field: str) -> list[str]:
    """Return all classes that labels of a field can have.

    These are the current labels and those as imported, and the classes that are listed by the
    dataset, its label schema and its predictions.
    """
    path = path_in(dataset, label_field)
    found = set(dataset.distinct(path))
    if field_info(dataset, IMPORTED_LABEL).get("label_field") == label_field:
        found |= set(dataset.distinct(IMPORTED_LABEL))
    found |= set(dataset.classes.get(label_field) or dataset.default_classes or [])
    found |= set(dataset.label_schemas.get(label_field, {}).get("classes") or [])
    for name in dataset.get_field_schema():
        info = field_info(dataset, name)
        is_own_task = len(found & set(info.get("classes") or [])) > 1  # excludes ImageNet classes
        if info.get("label_field") == label_field and is_own_task:
            found |= set(info["classes"])
    return sorted(x for x in found if isinstance(x, str) and x)


def stored_values(dataset: fo.Dataset, ids: Iterable[str], columns: Columns) -> dict[str, dict]:
    """Return the stored values of some samples by id; deleted samples are missing."""
    chosen = {"_id": {"$in": [ObjectId(i) for i in ids]}}
    rows = dataset._sample_collection.find(chosen, columns.paths)
    return {str(row["_id"]): row for row in rows}


def label_in(row: Mapping, columns: Columns) -> str | None:
    """Return the label of a sample, given its stored values; None if it has none."""
    value = row.get(columns.label_field)
    if columns.label != columns.label_field:
        value = (value or {}).get("label")
    return value or None


def stored_as(label: str | None) -> str | dict:
    """Return a query for a label; None stands for no label and for an empty text."""
    return label if label is not None else {"$in": [None, ""]}


def changes_for(row: Mapping, columns: Columns, label: str | None, vouched: bool) -> dict[str, Any]:
    """Return the values to store when a label is changed or confirmed.

    The label keeps its id and attributes. Its scores are taken from the stored probabilities of all
    classes. `label_quality` becomes 1 if a person has chosen or confirmed the label, and None
    otherwise. A label that a person has chosen or confirmed is no longer called suspicious: its
    suggestion is removed, and its issue if that is about the label.

    Args:
        row: the stored values of the sample
        columns: the fields of the dataset
        label: the new label; None for no label
        vouched: whether a person has chosen or confirmed the label

    Returns:
        values by path
    """
    changes: dict[str, Any] = {}
    if label != label_in(row, columns):
        value: Any = label
        if columns.label != columns.label_field:
            old = row.get(columns.label_field)
            value = {**old, "label": label} if old else document(fo.Classification, label=label)
        changes[columns.label_field] = value
        for name, classes in columns.scores.items():
            if row.get(name):
                found = row.get(f"{name}_scores")
                changes[f"{name}.label_score"] = own_score(found, classes, label)
    if columns.quality and (vouched or row.get(columns.quality) is not None):
        changes[columns.quality] = VOUCHED if vouched else None
    if vouched:
        changes |= dict.fromkeys(_doubts(row, columns))
    return changes


def _doubts(row: Mapping, columns: Columns) -> list[str]:
    """Return the fields of a sample that call its label into question."""
    found = [columns.suggestion] if columns.suggestion and row.get(columns.suggestion) else []
    if columns.issue and (columns.quality or columns.suggestion):
        found += [columns.issue] if (row.get(columns.issue) or {}).get("label") in DOUBTS else []
    return found


def own_score(
    probabilities: list[float] | None, classes: list[str], label: str | None
) -> float | None:
    """Return the probability of a label, given those of all classes; None if it is not a class."""
    if not probabilities or label not in classes:
        return None
    return probabilities[classes.index(label)]
