"""Selection among many classes: the most confused pairs, the worst classes, and a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .confusion import ClassRow

ORDERS = ("f1", "recall", "precision", "labelled", "name")


@dataclass(frozen=True)
class ConfusedPair:
    """Samples of one class that are predicted as another.

    Attributes:
        label, predicted: the classes
        count: number of samples
        share: share of all samples with this label
    """

    label: str
    predicted: str
    count: int
    share: float


def confused_pairs(matrix: np.ndarray, classes: Sequence[str]) -> list[ConfusedPair]:
    """Return all pairs of different classes that are confused, sorted by count, then by share.

    Args:
        matrix: (K, K) counts, rows are labels, columns predictions
        classes: K names
    """
    totals = matrix.sum(1)
    pairs = [
        ConfusedPair(classes[i], classes[j], int(matrix[i, j]), float(matrix[i, j] / totals[i]))
        for i, j in np.argwhere(matrix)
        if i != j
    ]
    return sorted(pairs, key=lambda one: (-one.count, -one.share, one.label, one.predicted))


def in_order(rows: Sequence[ClassRow], by: str = "f1") -> list[ClassRow]:
    """Sort rows of classes, the worst first; ties are ordered by size, the larger class first.

    Args:
        rows: rows of classes
        by: "f1", "recall" or "precision" (None comes last), "labelled" (most samples first) or
            "name"

    Raises:
        ValueError: if `by` is none of these
    """
    if by not in ORDERS:
        raise ValueError(f"by must be one of {', '.join(map(repr, ORDERS))}, not {by!r}")

    def place(row: ClassRow) -> tuple:
        value = getattr(row, by)
        if by == "name":
            return (value,)
        if by == "labelled":
            return (-value, row.name)
        return (value is None, value, -row.labelled, row.name)

    return sorted(rows, key=place)


def condensed(matrix: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Return the confusion matrix of some classes, with all others merged.

    Args:
        matrix: (K, K) counts
        chosen: positions of k classes

    Returns:
        (k + 1, k + 1) counts in the order of `chosen`; the last row and column contain all other
        classes together
    """
    chosen = list(chosen)
    rest = np.setdiff1d(np.arange(len(matrix)), chosen)
    found = np.zeros((len(chosen) + 1, len(chosen) + 1), matrix.dtype)
    found[:-1, :-1] = matrix[np.ix_(chosen, chosen)]
    found[:-1, -1] = matrix[np.ix_(chosen, rest)].sum(1)
    found[-1, :-1] = matrix[np.ix_(rest, chosen)].sum(0)
    found[-1, -1] = matrix[np.ix_(rest, rest)].sum()
    return found


def matches(name: str, search: str | None) -> bool:
    """Return whether a class matches a search: its name contains all words, regardless of case."""
    text = name.casefold()
    return all(word in text for word in (search or "").casefold().split())
