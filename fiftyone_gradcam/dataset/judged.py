"""The samples that the App evaluates classifiers on: one split, without excluded samples."""

from __future__ import annotations

import fiftyone as fo

from .cached import cached
from .reviews import left_out

PARTS = {"test": "test", "val": "val", "train": "train", "all": "all samples"}


def parts_of(dataset: fo.Dataset, state: tuple = ()) -> list[str]:
    """Return the parts that a dataset has: the tags of its splits, and "all"."""
    tags = cached(dataset, ("tags",), dataset.count_sample_tags, state)
    return [part for part in PARTS if part == "all" or tags.get(part)]


def judged(
    dataset: fo.Dataset, part: str, state: tuple = ()
) -> tuple[fo.core.collections.SampleCollection, dict[str, list[str]]]:
    """Return the samples to evaluate on, and the ids of those left out by reviews, by decision.

    Args:
        dataset: a dataset with labels
        part: one of `PARTS`
        state: see `fiftyone_gradcam.dataset.cached`
    """
    samples = dataset if part == "all" else dataset.match_tags(part)
    out = cached(dataset, ("left out", part), lambda: left_out(samples), state)
    if out:
        samples = samples.exclude([i for ids in out.values() for i in ids])
    return samples, out
