"""Duplicates and near duplicates among images, for label issues."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from .duplicates import group_pairs, near_pairs

MOST_LISTED = 20  # maximum number of equal files that are all paired with each other


def twins_of(
    digests: Sequence[str | None], looks: Sequence[np.ndarray]
) -> tuple[dict[int, dict[int, str]], np.ndarray]:
    """Find duplicates and near duplicates.

    Args:
        digests: of N files, equal for equal files; None for files without an equal one
        looks: arrays (N, C) for finding near duplicates (see `duplicates.near_pairs`)

    Returns:
        a dictionary from the position of each image with twins to their positions, with "equal" or
        "near"; and the group of each image (N,), equal for images that are directly or indirectly
        twins
    """
    by_digest: dict[str, list[int]] = {}
    for place, digest in enumerate(digests):
        if digest is not None:
            by_digest.setdefault(digest, []).append(place)
    pairs = near_pairs([x for x in looks if x.shape[1]])
    kinds = dict.fromkeys(pairs, "near")
    for members in by_digest.values():
        kinds |= dict.fromkeys(combinations(members[:MOST_LISTED], 2), "equal")
        kinds |= dict.fromkeys(((members[0], other) for other in members[1:]), "equal")
    twins: dict[int, dict[int, str]] = {}
    for (i, j), kind in kinds.items():
        twins.setdefault(i, {})[j] = kind
        twins.setdefault(j, {})[i] = kind
    return twins, np.array(group_pairs(len(digests), kinds), np.int64)


def left_out_together(group: np.ndarray) -> list[np.ndarray]:
    """Return the positions of each group (N,) with at least two members."""
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return [part for part in parts if len(part) > 1]


def judgeable(
    labels: Sequence[str | None], group: np.ndarray, least: int
) -> tuple[list[str], dict[str, int]]:
    """Return which classes have enough images to judge their labels.

    Args:
        labels: of N images; None if there is none
        group: (N,) equal for near duplicates, which count as one
        least: minimum number of images of a class

    Returns:
        these classes, sorted; and the numbers of images of the other classes
    """
    known = [(label, g) for label, g in zip(labels, group.tolist(), strict=True) if label]
    different = set(known)
    counts: dict[str, int] = {}
    for label, _ in different:
        counts[label] = counts.get(label, 0) + 1
    classes = sorted(label for label, count in counts.items() if count >= least)
    sizes: dict[str, int] = {}
    for label, _ in known:
        sizes[label] = sizes.get(label, 0) + 1
    return classes, {label: sizes[label] for label in sorted(set(counts) - set(classes))}
