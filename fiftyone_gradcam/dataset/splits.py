"""Stratified splits, stored as exclusive sample tags."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import fiftyone as fo

from ..folders.deal import deal
from ..folders.split_names import SPLITS
from .fields import labels_of, root_dataset

INFO_KEY = "splits"


def split_tags(dataset: fo.Dataset) -> set[str]:
    """The tags that stand for a split in this dataset."""
    return {*SPLITS.values(), *dataset.info.get(INFO_KEY, {}).get("fractions", {})}


def write_split(
    samples: fo.core.collections.SampleCollection,
    fractions: dict[str, float],
    label_field: str,
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> dict[str, dict[str, int]]:
    """Tag samples with their split; the tags of any earlier split are taken away.

    Args:
        samples, fractions, label_field, seed: see `fiftyone_gradcam.workflow.splitting.split`
        groups: of each sample, in the order of the samples; see `fiftyone_gradcam.folders.deal`

    Returns:
        number of samples by split and class
    """
    dataset = root_dataset(samples)
    ids, _, labels = labels_of(samples, label_field)
    if not any(labels):
        raise ValueError(f"No sample of {dataset.name!r} has a label in {label_field!r}")
    dealt = deal(labels, fractions, seed, groups)
    old = split_tags(dataset) | set(fractions)
    tags = {
        i: [t for t in present if t not in old] + ([name] if name else [])
        for i, present, name in zip(ids, samples.values("tags"), dealt, strict=True)
    }
    dataset.set_values("tags", tags, key_field="id")
    dataset.info[INFO_KEY] = {"fractions": dict(fractions), "seed": seed}
    dataset.save()
    counts: dict[str, dict[str, int]] = {name: {} for name in fractions}
    for label, name in zip(labels, dealt, strict=True):
        if name:
            counts[name][label] = counts[name].get(label, 0) + 1
    return counts
