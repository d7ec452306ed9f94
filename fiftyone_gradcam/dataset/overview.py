"""Summarize the state of the work on a dataset by queries, without loading samples."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import fiftyone as fo

from ..model.cached_weights import cached_weights
from .basis import LEARNED
from .cached import cached, state_of
from .evaluation import prediction_fields
from .fields import classification_fields, field_info, is_owned, path_in
from .files import FEATURES, dataset_folder
from .label_totals import label_issues_info
from .review_counts import ReviewCounts, review_counts
from .review_state import REVIEW, Columns, columns_of, default_label_field
from .reviews import LEFT_OUT
from .run import CURRENT
from .runs import canceled_words, labels_of_run, list_runs, trained_at

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Overview:
    """The state of the work on a dataset.

    Attributes:
        samples: the number of samples
        label_field: the field of the labels; None if no field holds classes
        classes: the number of samples by label
        parts: the number of samples tagged "train", "val" and "test"; absent tags are left out
        runs: keys of the training runs, oldest first, with the time of each (UTC, ISO 8601), except
            those on the labels before review
        before_review: keys of the runs that were trained on the labels before review
        predicted: by prediction field: the key of the run, whether the predictions are by its
            current version, and the number of samples with a prediction
        mistakes: the number of samples whose label differs from the current prediction of the
            newest run, except those that reviews have left out
        mistaken_field: the field of these predictions; None without mistakes
        judged: whether labels were checked by `find_label_issues`
        judged_at: when they were checked; None if unknown
        review: the numbers of suspicious, reviewed and corrected labels
        corrected_since: the number of labels changed, excluded or marked as unclear since the
            newest training; as in the next two, of the splits that a training uses if there are any
        learned: the number of labels changed, excluded or marked as unclear after the oldest
            training and before the newest
        corrected_first: the number of labels changed before the oldest training
        reviewed_at: when a label was last reviewed
        canceled: the epochs of the newest run, such as "3 of 17 epochs", if its training was
            canceled and can be resumed
        has_features: whether label issues can be found without training or downloading: there are
            stored features, or pretrained weights in PyTorch's cache
    """

    samples: int = 0
    label_field: str | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)
    before_review: Sequence[str] = ()
    predicted: Mapping[str, tuple[str, bool, int]] = field(default_factory=dict)
    mistakes: int = 0
    mistaken_field: str | None = None
    judged: bool = False
    judged_at: str | None = None
    review: ReviewCounts = field(default_factory=ReviewCounts)
    corrected_since: int = 0
    learned: int = 0
    corrected_first: int = 0
    reviewed_at: str | None = None
    canceled: str | None = None
    has_features: bool = False

    @property
    def labeled(self) -> int:
        """The number of samples that have a label."""
        return sum(self.classes.values())

    @property
    def newest_run(self) -> str | None:
        """The key of the newest run; None if there is none."""
        return next(reversed(self.runs), None)

    def predicted_by(self, run: str | None) -> int:
        """Return the number of samples predicted by the current version of a run.

        If several fields hold its predictions, the largest number is returned.
        """
        counts = [n for key, is_now, n in self.predicted.values() if key == run and is_now]
        return max(counts, default=0)


def overview(dataset: fo.Dataset) -> Overview:
    """Summarize the state of the work on a dataset."""
    label_field = _label_field(dataset)
    versions = {key: trained_at(dataset, key) for key in list_runs(dataset)}
    runs = {key: x for key, x in versions.items() if labels_of_run(dataset, key) == CURRENT}
    fields = prediction_fields(dataset)
    key, state = ("overview", label_field, *fields), state_of(dataset)
    counted = cached(dataset, key, lambda: _counted(dataset, label_field, fields), state)
    predicted, wrong, mistaken = {}, 0, None
    for name in fields:
        info = field_info(dataset, name)
        is_now = info.get("version") == versions.get(info["run"], info.get("version"))
        predicted[name] = (info["run"], is_now, counted["fields"][name])
        is_newest = is_now and info["run"] == next(reversed(runs), None)
        if is_newest and (count := counted["wrong"].get(name, 0)) > wrong:
            wrong, mistaken = count, name
    return Overview(
        samples=counted["samples"],
        label_field=label_field,
        classes=counted["classes"],
        parts=counted["parts"],
        runs=runs,
        before_review=[key for key in versions if key not in runs],
        predicted=predicted,
        mistakes=wrong,
        mistaken_field=mistaken,
        canceled=canceled_words(dataset, next(reversed(runs), None)),
        has_features=has_features(dataset),
        **_reviewed(dataset, label_field, runs, state),
    )


def _label_field(dataset: fo.Dataset) -> str | None:
    """Return the field of the labels; a string field only if it has been used with a verb."""
    own = [x for x in classification_fields(dataset) if not is_owned(dataset.get_field(x))]
    name = default_label_field(dataset)
    is_used = any(
        field_info(dataset, other).get("label_field") == name
        for other in dataset.get_field_schema()
    )
    return name if dataset.get_field(name) is not None and (own or is_used) else None


def _counted(dataset: fo.Dataset, label_field: str | None, fields: Sequence[str]) -> dict:
    """Count the samples by label, by split and by prediction field, in one aggregation."""

    def count(condition: dict) -> dict:
        return {"$sum": {"$cond": [condition, 1, 0]}}

    label = f"${path_in(dataset, label_field)}" if label_field else None
    tags = {"$ifNull": ["$tags", []]}
    is_counted = {"$not": [{"$in": [f"${REVIEW}.label", list(LEFT_OUT)]}]}
    group = {"_id": label, "samples": {"$sum": 1}}
    group |= {f"part_{part}": count({"$in": [part, tags]}) for part in PARTS}
    for place, name in enumerate(fields):
        own = f"${name}.label"
        group[f"field_{place}"] = count({"$gt": [own, None]})
        if label and field_info(dataset, name).get("label_field") == label_field:
            differs = [{"$gt": [own, None]}, {"$gt": [label, None]}, {"$ne": [own, label]}]
            group[f"wrong_{place}"] = count({"$and": [*differs, is_counted]})
    rows = list(dataset._sample_collection.aggregate([{"$group": group}]))
    parts = {part: sum(row[f"part_{part}"] for row in rows) for part in PARTS}
    named = {row["_id"]: row["samples"] for row in rows if row["_id"] not in (None, "")}
    return {
        "samples": sum(row["samples"] for row in rows),
        "classes": dict(sorted(named.items())),
        "parts": {part: n for part, n in parts.items() if n},
        "fields": {
            name: sum(row[f"field_{place}"] for row in rows) for place, name in enumerate(fields)
        },
        "wrong": {
            name: sum(row.get(f"wrong_{place}", 0) for row in rows)
            for place, name in enumerate(fields)
        },
    }


def _reviewed(
    dataset: fo.Dataset, label_field: str | None, runs: Mapping[str, str], state: tuple
) -> dict:
    """Return the values of `Overview` that concern checked and reviewed labels."""
    found: dict = {}
    if label_field is None:
        return found
    columns = columns_of(dataset, label_field)
    if columns.quality:
        info = label_issues_info(dataset)
        is_same = info.get("label_field") == label_field
        found |= {"judged": True, "judged_at": info.get("began") if is_same else None}
    times = [time for time in runs.values() if time]
    key = ("reviewed", label_field, columns.label, columns.suggestion, *times)
    counted = cached(dataset, key, lambda: _counted_reviews(dataset, columns, times), state)
    return found | counted


def _counted_reviews(dataset: fo.Dataset, columns: Columns, times: Sequence[str]) -> dict:
    """Count the labels to review, and those that were reviewed before and after trainings."""
    found: dict = {"review": review_counts(dataset, columns)}
    if dataset.get_field(REVIEW) is None:
        return found
    differs = {"$ne": [f"${REVIEW}.old_label", f"${REVIEW}.new_label"]}
    counts = {"$or": [differs, {"$in": [f"${REVIEW}.label", list(LEFT_OUT)]}]}
    oldest, newest = (min(times), times[-1]) if times else ("~", "~")  # "~": after any time
    is_later = {"$gt": [f"${REVIEW}.time", newest]}
    is_first = {"$and": [differs, {"$lte": [f"${REVIEW}.time", oldest]}]}
    is_between = {"$and": [{"$gt": [f"${REVIEW}.time", oldest]}, {"$not": [is_later]}]}
    group = {
        "_id": None,
        "corrected_since": {"$sum": {"$cond": [{"$and": [counts, is_later]}, 1, 0]}},
        "learned": {"$sum": {"$cond": [{"$and": [counts, is_between]}, 1, 0]}},
        "corrected_first": {"$sum": {"$cond": [is_first, 1, 0]}},
        "reviewed_at": {"$max": f"${REVIEW}.time"},
    }
    own: dict = {f"{REVIEW}.label_field": columns.label_field}
    if dataset._sample_collection.find_one({"tags": "train"}, ["_id"]) is not None:
        own["tags"] = {"$in": list(LEARNED)}  # no training learns from other labels
    for row in dataset._sample_collection.aggregate([{"$match": own}, {"$group": group}]):
        found |= {name: row[name] for name in group if name != "_id"}
    return found


def has_features(dataset: fo.Dataset) -> bool:
    """Return whether label issues can be found without training or downloading.

    This needs features of a network, stored with the dataset, or pretrained weights in PyTorch's
    cache.
    """
    home = os.path.join(dataset_folder(dataset), FEATURES)
    kept = os.listdir(home) if os.path.isdir(home) else []
    # Names of folders for features of pixels alone contain a hyphen.
    return any("-" not in name for name in kept) or bool(cached_weights("*"))
