"""Which classes to look at among many: the most confused pairs, the worst classes, a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .confusion import ClassRow

ORDERS = ("f1", "recall", "precision", "labelled", "name")


@dataclass(frozen=True)
class ConfusedPair:
    """Samples of a class that are predicted as another.

    Attributes:
        label, predicted: the classes
        count: number of samples
        share: of all samples of the label
    """

    label: str
    predicted: str
    count: int
    share: float


def confused_pairs(matrix: np.ndarray, classes: Sequence[str]) -> list[ConfusedPair]:
    """All pairs of different classes that occur: most samples first, then the largest share.

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
    """Rows of classes, the worst first, and of equal ones the larger class.

    Args:
        rows: of classes
        by: "f1", "recall" or "precision" (those that have none come last), "labelled" (most samples
            first) or "name"

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
        return (value is None, value or 0.0, -row.labelled, row.name)

    return sorted(rows, key=place)


def condensed(matrix: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """The confusion of some classes, all others taken together.

    Args:
        matrix: (K, K) counts
        chosen: places of k classes

    Returns:
        (k + 1, k + 1) counts in the order of `chosen`; the last row and column are of all other
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
    """Whether a class is meant by a search: all of its words occur in the name, in any case."""
    text = name.casefold()
    return all(word in text for word in (search or "").casefold().split())
