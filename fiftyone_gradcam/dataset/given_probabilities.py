"""Check out-of-fold probabilities that the user passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ADD_UP = 0.01  # tolerance of the sum of a row, which should be 1


def given_probabilities(
    probabilities: np.ndarray, labels: Sequence[str | None], classes: Sequence[str]
) -> np.ndarray:
    """Check and normalize class probabilities.

    Args:
        probabilities: (N, K), with a row for each sample in the order of the samples, and a column
            for each class in alphabetical order; rows of samples without a label are not checked
        labels: the labels of the N samples, None where unlabeled
        classes: the K classes in alphabetical order

    Returns:
        (N, K) float64; the rows of labeled samples add up to 1

    Raises:
        ValueError: if the probabilities are invalid; the message names the problem and the row
    """
    try:
        values = np.asarray(probabilities, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"probabilities must be an array of numbers (N, K): {error}") from None
    wanted = (len(labels), len(classes))
    if values.shape != wanted:
        names = ", ".join(map(repr, classes[:10])) + (" ..." if len(classes) > 10 else "")
        raise ValueError(
            f"probabilities has the shape {values.shape}, not {wanted}: pass a row for each of the "
            f"{wanted[0]} samples in their order, and a column for each of the {wanted[1]} classes "
            f"in alphabetical order: {names}"
        )
    counted = np.array([label is not None for label in labels], bool)
    sums = values.sum(1)
    wrong = counted & ~(
        np.isfinite(values).all(1) & (values >= 0).all(1) & (np.abs(sums - 1) <= ADD_UP)
    )
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{wrong.sum()} rows of probabilities are invalid, such as row {row}, which adds up to "
            f"{sums[row]:.4g} and whose smallest value is {values[row].min():.4g}. Values must be "
            f"at least 0, and each row must add up to 1. Apply softmax to logits"
        )
    return values / np.where(counted, sums, 1.0)[:, None]
