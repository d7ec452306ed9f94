"""Stratified splits, stored as exclusive sample tags."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ..folders.layout import SPLITS
from .fields import labels_of, root_dataset

INFO_KEY = "splits"


def check_fractions(fractions: dict[str, float]) -> None:
    """Refuse fractions that are no shares of a whole.

    Raises:
        ValueError: naming the value
    """
    if not isinstance(fractions, dict) or not fractions:
        raise ValueError(f"fractions must map split names to shares, not {fractions!r}")
    for name, share in fractions.items():
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"A split must have a name, not {name!r}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ValueError(f"The share of {name!r} must lie in (0, 1], not {share!r}")
    if sum(fractions.values()) > 1 + 1e-9:
        raise ValueError(f"fractions add up to {sum(fractions.values()):g}: at most 1 is possible")


def stratify(
    labels: list[str | None], fractions: dict[str, float], seed: int = 0
) -> list[str | None]:
    """Deal samples to splits, each class in the same proportions.

    Each class is dealt by largest remainders; what rounding took from a split in one class is
    given back to it in the next, so that the totals come out right too. A class with too few
    samples goes to the splits in their order.

    Args:
        labels: class of each sample, None for unlabelled ones, which go to no split
        fractions: share of each split; where they add up to less than 1, the rest goes nowhere
        seed: of the shuffle

    Returns:
        the split of each sample, or None
    """
    random = np.random.default_rng(seed)
    names = list(fractions)
    shares = np.array([fractions[n] for n in names] + [max(0.0, 1 - sum(fractions.values()))])
    owed = np.zeros(len(shares))
    result: list[str | None] = [None] * len(labels)
    for label in sorted({x for x in labels if x is not None}):
        members = random.permutation([i for i, x in enumerate(labels) if x == label])
        ideal = len(members) * shares
        counts = np.floor(ideal + 1e-9).astype(int)
        for _ in range(len(members) - counts.sum()):
            counts[np.argmax(np.round(ideal - counts + owed, 9))] += 1
        _seat_everyone(counts, min(len(names), len(members)))
        owed += ideal - counts
        for name, chunk in zip(names, np.split(members, np.cumsum(counts)[:-1]), strict=False):
            for i in chunk:
                result[i] = name
    return result


def _seat_everyone(counts: np.ndarray, seats: int) -> None:
    """Give each of the first splits a sample of the class, from those that have one to spare."""
    for i in range(seats):
        if counts[i] == 0:
            spare = counts - (np.arange(len(counts)) < seats)
            counts[np.argmax(spare)] -= 1
            counts[i] += 1


def split_tags(dataset: fo.Dataset) -> set[str]:
    """The tags that stand for a split in this dataset."""
    return {*SPLITS.values(), *dataset.info.get(INFO_KEY, {}).get("fractions", {})}


def write_split(
    samples: fo.core.collections.SampleCollection,
    fractions: dict[str, float],
    label_field: str,
    seed: int,
) -> dict[str, dict[str, int]]:
    """Tag samples with their split; the tags of any earlier split are taken away.

    Returns:
        number of samples by split and class
    """
    check_fractions(fractions)
    dataset = root_dataset(samples)
    ids, _, labels = labels_of(samples, label_field)
    if not any(labels):
        raise ValueError(f"No sample of {dataset.name!r} has a label in {label_field!r}")
    dealt = stratify(labels, fractions, seed)
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
