"""The confusion matrix of a report: all classes if there are few, otherwise those with most
mistakes."""

from __future__ import annotations

import numpy as np

from ..review.confusion import normalized
from .elements import missing, section, table
from .facts import Results
from .html import MOST_OF_NAME, Html, cut, name_of, tag

MOST_IN_MATRIX = 20
MOST_PAIRS = 15
STRONGEST = 0.62  # maximum opacity of a cell, so that its number is readable


def worst_classes(matrix: np.ndarray, most: int) -> list[int]:
    """Return the indexes of the classes with most mistakes, as label or prediction, in ascending
    order.

    Args:
        matrix: (K, K) counts; rows are labels and columns are predictions
        most: number of classes
    """
    mistakes = matrix.sum(0) + matrix.sum(1) - 2 * matrix.diagonal()
    return sorted(np.argsort(-mistakes, kind="stable")[:most].tolist())


def confused_pairs(matrix: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """Return label, prediction and count of the most frequent mistakes."""
    mistakes = matrix - np.diag(matrix.diagonal())
    order = np.argsort(-mistakes, axis=None, kind="stable")[:most]
    places = zip(*np.unravel_index(order, matrix.shape), strict=True)
    return [(int(i), int(j), int(matrix[i, j])) for i, j in places if mistakes[i, j] > 0]


def confusion_section(results: Results | None) -> Html:
    """The section with the confusion matrix and the most confused pairs of classes."""
    title = "Confusion matrix"
    if results is None:
        return section("confusion", title, missing("There are no predictions."))
    matrix, names = results.matrix, results.names
    chosen = list(range(len(names)))
    words = "Rows are labels, columns are predictions; colors show fractions of a label."
    if len(names) > MOST_IN_MATRIX:
        chosen = worst_classes(matrix, MOST_IN_MATRIX)
        words = (
            f"The {MOST_IN_MATRIX} of {len(names):,} classes with most mistakes. {words} The last "
            f"column is for all other classes."
        )
    parts = [tag("p", words, class_="soft"), _matrix(matrix, names, chosen)]
    pairs = confused_pairs(matrix, MOST_PAIRS)
    parts.append(tag("h3", "Most confused"))
    if pairs:
        labeled = matrix.sum(1)
        rows = [
            (name_of(names[i]), name_of(names[j]), f"{n:,}", f"{n / labeled[i]:.1%}")
            for i, j, n in pairs
        ]
        titles = [("Label", False), ("Predicted", False)]
        parts.append(table([*titles, ("Samples", True), ("Of the label", True)], rows))
    else:
        parts.append(tag("p", "No class is confused with another."))
    return section("confusion", title, *parts)


def _matrix(matrix: np.ndarray, names: list[str], chosen: list[int]) -> Html:
    shares = normalized(matrix, "row")
    rest = [i for i in range(len(names)) if i not in set(chosen)]
    titles = {i: cut(names[i], MOST_OF_NAME) for i in chosen}
    heads = [tag("th", tag("span", name_of(names[j])), title=titles[j]) for j in chosen]
    if rest:
        heads.append(tag("th", tag("span", "others")))
    across = tag("tr", tag("th"), tag("th", "predicted", colspan=len(heads), class_="across"))
    rows = []
    for i in chosen:
        cells = [_cell(matrix[i, j], shares[i, j], i == j) for j in chosen]
        if rest:
            cells.append(_cell(matrix[i, rest].sum(), shares[i, rest].sum(), False))
        rows.append(tag("tr", tag("th", name_of(names[i]), title=titles[i]), *cells))
    head = tag("thead", across, tag("tr", tag("th", "label", class_="number"), *heads))
    return tag("div", tag("table", head, tag("tbody", *rows), class_="matrix"), class_="wide")


def _cell(number: int, share: float, is_right: bool) -> Html:
    if not number:
        return tag("td", "·", class_="none")
    color = "good" if is_right else "bad"
    opacity = 0.08 + (STRONGEST - 0.08) * float(share)
    style = f"background:rgba(var(--{color}),{opacity:.2f})"
    return tag("td", f"{int(number):,}", style=style, title=f"{share:.1%} of the label")
