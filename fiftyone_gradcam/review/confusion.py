"""Confusion of classes: counts, rates, and confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054  # the 97.5% quantile of the normal distribution


@dataclass(frozen=True)
class ClassRow:
    """A class: how many samples have its label, and how many are predicted correctly.

    Attributes:
        name: name of the class
        labelled, predicted, right: numbers of samples with this label, with this prediction, and
            both
        recall: share of the labeled samples that are predicted correctly; None if there are none
        precision: share of the predicted samples that have this label; None if there are none
    """

    name: str
    labelled: int
    predicted: int
    right: int

    @property
    def recall(self) -> float | None:
        """Share of the labeled samples that are predicted correctly; None if there are none."""
        return self.right / self.labelled if self.labelled else None

    @property
    def precision(self) -> float | None:
        """Share of the predicted samples that have this label; None if there are none."""
        return self.right / self.predicted if self.predicted else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None if no sample has this label or prediction."""
        count = self.labelled + self.predicted
        return 2 * self.right / count if count else None


def normalized(matrix: np.ndarray, by: str) -> np.ndarray:
    """Normalize a confusion matrix of counts (L, P).

    Args:
        matrix: rows are labels, columns predictions
        by: "row" (divide by the samples of a label: the diagonal is the recall) or "column" (divide
            by the samples of a prediction: precision); empty rows or columns are 0

    Raises:
        ValueError: if `by` is neither
    """
    if by not in ("row", "column"):
        raise ValueError(f"by must be 'row' or 'column', not {by!r}")
    return matrix / np.maximum(matrix.sum(1 if by == "row" else 0, keepdims=True), 1)


def confusion_matrix(counts: Mapping[tuple[str, str], int], classes: Sequence[str]) -> np.ndarray:
    """Return the confusion matrix (K, K): rows are labels, columns are predictions.

    Args:
        counts: numbers of samples by label and prediction
        classes: all classes that occur, in the order of the rows and columns
    """
    place = {name: i for i, name in enumerate(classes)}
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    for (label, predicted), count in counts.items():
        matrix[place[label], place[predicted]] = count
    return matrix


def class_rows(matrix: np.ndarray, classes: Sequence[str]) -> list[ClassRow]:
    """Return a row for each class of a confusion matrix (K, K)."""
    rows = np.stack([matrix.sum(1), matrix.sum(0), matrix.diagonal()], 1).tolist()
    return [ClassRow(name, *row) for name, row in zip(classes, rows, strict=True)]


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Return the 95% confidence interval of a proportion.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 1927.

    Args:
        right, total: counts; `total` is positive
    """
    share, square = right / total, Z95**2 / total
    middle = (share + square / 2) / (1 + square)
    half = Z95 / (1 + square) * math.sqrt(share * (1 - share) / total + square / (4 * total))
    return max(middle - half, 0.0), min(middle + half, 1.0)
