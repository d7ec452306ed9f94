"""Stratified splits, stored as sample tags, one for each sample."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence

import fiftyone as fo
from bson import ObjectId
from fiftyone.core.odm import bulk_write
from pymongo import UpdateMany

from ..folders.assignment import assign
from ..folders.split_names import SPLITS
from .fields import labels_of, root_dataset

INFO_KEY = "splits"
MOST_IDS = 400_000  # ids in one statement, which is limited to 16 MB


def split_tags(dataset: fo.Dataset) -> set[str]:
    """Return the tags that stand for splits in this dataset."""
    return {*SPLITS.values(), *dataset.info.get(INFO_KEY, {}).get("fractions", {})}


def count_split(samples: fo.core.collections.SampleCollection) -> dict[str, int]:
    """Return the number of samples in each split, by tag; empty if there is no split."""
    own = split_tags(root_dataset(samples))
    return {tag: n for tag, n in sorted(samples.count_sample_tags().items()) if tag in own}


def write_split(
    samples: fo.core.collections.SampleCollection,
    fractions: dict[str, float],
    label_field: str,
    seed: int,
    groups: Sequence[Hashable] | None = None,
    without: Collection[str] = (),
    even: bool = False,
) -> dict[str, dict[str, int]]:
    """Tag samples with their split, and remove the tags of any earlier split.

    Args:
        samples, fractions, label_field, seed: see `fiftyone_gradcam.workflow.splitting.split`
        groups: the group of each sample, in the order of the samples; see `folders.assignment`
        without: ids of samples that get no tag
        even: keep the splits equal in size; see `folders.assignment`

    Returns:
        the number of samples by split and class

    Raises:
        ValueError: if no sample has a label
    """
    dataset = root_dataset(samples)
    ids, _, labels = labels_of(samples, label_field)
    out = set(without)
    labels = [None if i in out else label for i, label in zip(ids, labels, strict=True)]
    if not any(labels):
        raise ValueError(f"No sample of {dataset.name!r} has a label in {label_field!r}")
    assigned = assign(labels, fractions, seed, groups, even)
    old = split_tags(dataset) | set(fractions)
    # The tags of this split are recorded before the first is written, and those of the last split
    # until they are removed: the next split knows all tags that an interrupted one has left.
    dataset.info[INFO_KEY] = {"fractions": dict.fromkeys(sorted(old), 0.0), "whole": False}
    dataset.save()
    try:
        _write_tags(dataset, ids, assigned, old)
    except KeyboardInterrupt:  # write all tags again, so that the split is complete
        _write_tags(dataset, ids, assigned, old)
        _sign(dataset, fractions, seed)
        raise
    _sign(dataset, fractions, seed)
    counts: dict[str, dict[str, int]] = {name: {} for name in fractions}
    for label, name in zip(labels, assigned, strict=True):
        if name:
            counts[name][label] = counts[name].get(label, 0) + 1
    return counts


def check_whole(dataset: fo.Dataset) -> None:
    """Check that the split was written completely.

    Raises:
        ValueError: if it was interrupted; the message says what to do
    """
    if dataset.info.get(INFO_KEY, {}).get("whole") is False:
        raise ValueError(
            f"The last split of {dataset.name!r} was interrupted while it was written. Call "
            f"split() again"
        )


def _sign(dataset: fo.Dataset, fractions: dict[str, float], seed: int) -> None:
    """Record a split that was written completely."""
    dataset.info[INFO_KEY] = {"fractions": dict(fractions), "seed": seed}
    dataset.save()


def _write_tags(
    dataset: fo.Dataset, ids: Sequence[str], assigned: Sequence[str | None], old: set[str]
) -> None:
    """Replace the old split tags of samples by new ones.

    This is one database command, which is executed completely even if this process is killed.
    """
    by_name: dict[str | None, list[ObjectId]] = {}
    for sample_id, name in zip(ids, assigned, strict=True):
        by_name.setdefault(name, []).append(ObjectId(sample_id))
    others = {
        "$filter": {
            "input": {"$ifNull": ["$tags", []]},
            "cond": {"$not": [{"$in": ["$$this", {"$literal": sorted(old)}]}]},
        }
    }
    updates = []
    for name, own in by_name.items():
        tags = {"$concatArrays": [others, {"$literal": [name] if name else []}]}
        change = [{"$set": {"tags": tags, "last_modified_at": "$$NOW"}}]
        for start in range(0, len(own), MOST_IDS):
            chosen = {"_id": {"$in": own[start : start + MOST_IDS]}}
            updates.append(UpdateMany(chosen, change))
    bulk_write(updates, dataset._sample_collection, ordered=True, batcher=False)
    fo.Sample._reload_docs(dataset._sample_collection_name)
