"""Assign images to splits: each class in the same proportions, and groups kept together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from .path_names import check_name

MOST = 2**53  # maximum number of images of a class; larger integers are not exact as floats
EQUAL, NEAR = "duplicates", "near duplicates"  # groups that are found by comparing images


def check_fractions(fractions: dict[str, float]) -> None:
    """Check fractions of splits, or numbers of images.

    Raises:
        ValueError: naming the invalid value
    """
    if not isinstance(fractions, dict) or not fractions:
        raise ValueError(f"fractions must map split names to shares, not {fractions!r}")
    for name, share in fractions.items():
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"A split must have a name, not {name!r}")
        check_name(name, "A split")
        is_number = isinstance(share, int | float) and not isinstance(share, bool)
        if not is_number or not 0 < share <= MOST:
            raise ValueError(
                f"The share of {name!r} must be in (0, 1], or a number of images of each class, "
                f"not {share!r}"
            )
    if are_counts(fractions):
        if wrong := [name for name, share in fractions.items() if share != int(share)]:
            raise ValueError(
                f"Either all are shares, in (0, 1], or all are numbers of images of each class: "
                f"that of {wrong[0]!r} is {fractions[wrong[0]]!r}"
            )
    elif sum(fractions.values()) > 1 + 1e-9:
        raise ValueError(f"fractions add up to {sum(fractions.values()):g}: at most 1 is possible")


def are_counts(fractions: dict[str, float]) -> bool:
    """Return whether fractions are numbers of images of each class instead of shares."""
    return max(fractions.values()) > 1


def assign(
    labels: Sequence[str | None],
    fractions: dict[str, float],
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
    even: bool = False,
) -> list[str | None]:
    """Assign samples to splits, each class in the same proportions.

    Each class is split by largest remainders. What a split loses by rounding in one class, it gains
    in the next, so that the totals are also correct. A class with too few samples is assigned to
    the splits in their order. Groups stay together; the largest are assigned first, each to the
    split that lacks most of its classes.

    Args:
        labels: class of each sample, None for unlabeled samples, which are not assigned
        fractions: share of each split; if they sum to less than 1, the rest is not assigned.
            Or numbers of images of each class; a class with fewer is split in the same proportions
        seed: random seed
        groups: samples with equal values stay together; None for a sample that is alone
        even: treat all splits alike: a class with too few samples is assigned to the smallest
            splits so far, as required for folds of equal size

    Returns:
        the split of each sample, or None
    """
    random = np.random.default_rng(seed)
    names = list(fractions)
    members: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        if label is not None:
            members.setdefault(label, []).append(i)
    classes = sorted(members)
    shares = {size: _shares(fractions, size) for size in {len(own) for own in members.values()}}
    result: list[str | None] = [None] * len(labels)
    if groups is not None and len({g for g in groups if g is not None}) < len(labels):
        ideal = [[len(own) * x for x in shares[len(own)]] for own in map(members.get, classes)]
        found = _deal_groups(labels, classes, ideal, groups, random, even)
        return [names[i] if i is not None and i < len(names) else None for i in found]
    owed = [0.0] * (len(names) + 1)
    for label in classes:
        own = random.permutation(members[label]).tolist()
        ideal = [len(own) * share for share in shares[len(own)]]
        counts = [math.floor(x + 1e-9) for x in ideal]
        for _ in range(len(own) - sum(counts)):
            lacking = np.subtract(ideal, counts) + owed
            counts[int(lacking.round(9).argmax())] += 1
        if not even:
            _seat_everyone(counts, min(len(names), len(own)))
        owed = [debt + (x - n) for x, n, debt in zip(ideal, counts, owed, strict=True)]
        start = 0
        for name, count in zip(names, counts, strict=False):
            for i in own[start : start + count]:
                result[i] = name
            start += count
    return result


def _shares(fractions: dict[str, float], size: int) -> list[float]:
    """Return the share of each split, and of the rest, in a class of the given size."""
    shares = list(map(float, fractions.values()))
    if are_counts(fractions):
        shares = [count / max(size, sum(shares)) for count in shares]
    return [*shares, max(0.0, 1 - sum(shares))]


def _seat_everyone(counts: list[int], seats: int) -> None:
    """Move a sample of the class to each of the first splits that has none, from the largest."""
    for i in range(seats):
        if counts[i] == 0:
            spare = [count - (place < seats) for place, count in enumerate(counts)]
            counts[spare.index(max(spare))] -= 1
            counts[i] += 1


def _deal_groups(
    labels: Sequence[str | None],
    classes: list[str],
    ideal: list[list[float]],
    groups: Sequence[Hashable],
    random: np.random.Generator,
    even: bool,
) -> list[int | None]:
    """Return the index of each sample's split; `ideal` (K, S) are target numbers of samples.

    Only the classes of a group are considered, so that the cost does not grow with the number of
    classes.
    """
    place = {name: k for k, name in enumerate(classes)}
    members: dict[Hashable, list[int]] = {}
    for i, (label, group) in enumerate(zip(labels, groups, strict=True)):
        if label is not None:
            members.setdefault(("alone", i) if group is None else ("group", group), []).append(i)
    order = random.permutation(len(members))
    every = list(members.values())
    bags = [every[i] for i in order]
    bags.sort(key=len, reverse=True)  # stable: groups of equal size stay shuffled
    lacking, found = [list(row) for row in ideal], [None] * len(labels)
    weights = [[1 / max(x, 1e-9) if x > 0 else 0.0 for x in row] for row in ideal]
    # A split with a target of zero gets no group.
    open_splits = [j for j, column in enumerate(zip(*ideal, strict=True)) if sum(column) > 0]
    taken = [0] * len(ideal[0]) if ideal else []
    for bag in bags:
        counts = sorted(Counter(place[labels[i]] for i in bag).items())
        scores = {
            j: sum(count * lacking[k][j] * weights[k][j] for k, count in counts)
            for j in open_splits
        }
        if even:  # the smallest of the splits that lack most
            split = max(scores, key=lambda j: (round(scores[j], 9), -taken[j]))
        else:
            split = max(scores, key=scores.get)  # the first of the splits that lack most
        taken[split] += len(bag)
        for k, count in counts:
            lacking[k][split] -= count
        for i in bag:
            found[i] = split
    return found
