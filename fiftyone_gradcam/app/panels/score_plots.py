"""Plots of the tab "Scores"."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...progress import counted
from ...review.confusion import ClassRow
from ...review.score_histogram import bin_edges
from ..texts import percent, plotly, wrapped
from .plots import FIXED, GRAY, TRAIN, VAL, axis, room_for

WIDE = 30  # counts that differ by a larger factor get a logarithmic axis
ROW_HEIGHT = 20  # pixels for each class


def histogram_plot(
    own: np.ndarray, other: np.ndarray, name: str, threshold: float
) -> tuple[list[dict], dict]:
    """Plot histograms of the scores of a class: of its own images above, of all others below.

    Args:
        own, other: (B,) numbers of images in bins of equal width over scores in [0, 1]
        name: the name of the class
        threshold: a score to mark
    """
    edges = bin_edges(len(own))
    middles = ((edges[:-1] + edges[1:]) / 2).tolist()
    traces, axes, is_log = [], {}, _are_log(own, other)
    rows = (
        (own, wrapped(name), TRAIN, "", "own images"),
        (other, "other classes", VAL, "2", "other images"),
    )
    for counts, what, color, number, title in rows:
        texts = [
            f"{counted(n, 'image')} of {what}<br>with a score of {low:.2f} to {high:.2f}"
            for n, low, high in zip(counts.tolist(), edges[:-1], edges[1:], strict=True)
        ]
        traces.append(
            {
                "type": "bar",
                "x": middles,
                "y": [n or None for n in counts.tolist()],
                "width": [0.94 / len(own)] * len(own),
                "hovertext": texts,
                "hoverinfo": "text",
                "marker": {"color": color},
                "yaxis": f"y{number}",
                "xaxis": "x",
                "name": title,
            }
        )
        words = f"{title},<br>log scale" if is_log else title
        axes[f"yaxis{number}"] = axis(words) | _counts(counts, is_log) | FIXED
    axes["yaxis"] |= {"domain": [0.54, 1]}
    axes["yaxis2"] |= {"domain": [0, 0.46], "anchor": "x"}
    line = {"color": GRAY, "dash": "dot", "width": 2}
    shape = {"type": "line", "x0": threshold, "x1": threshold, "y0": 0, "y1": 1, "yref": "paper"}
    layout = {
        "height": 320,
        "margin": {"l": 65, "r": 10, "t": 10, "b": 40},
        "xaxis": axis("score of the class") | {"range": [0, 1], "anchor": "y2"} | FIXED,
        **axes,
        "hovermode": "x",
        "hoverdistance": -1,
        "hoverlabel": {"align": "left"},
        "dragmode": False,
        "shapes": [shape | {"line": line}],
    }
    return traces, layout


def histogram_words(own: np.ndarray, other: np.ndarray) -> str:
    """Explain a histogram; see `histogram_plot`."""
    scale = ", both in a log scale" if _are_log(own, other) else ""
    return (
        f"Above: images with this label. Below: all other images{scale}. The dotted line is the "
        f"threshold."
    )


def _are_log(*histograms: np.ndarray) -> bool:
    """Return whether counts get logarithmic axes, because small ones of a histogram would not be
    visible otherwise. All get the same kind of axis, so that they can be compared."""
    some = [counts[counts > 0] for counts in histograms]
    return any(len(x) > 0 and bool(x.max() > WIDE * x.min()) for x in some)


def _counts(counts: np.ndarray, is_log: bool) -> dict:
    """Return an axis for counts."""
    if is_log:
        top = math.log10(max(counts.max(), 1)) + 0.1
        return {"type": "log", "range": [-0.3, top], "dtick": 1, "exponentformat": "none"}
    return {"rangemode": "tozero", "nticks": 4}


def class_bars_plot(rows: Sequence[ClassRow]) -> tuple[list[dict], dict]:
    """Plot the number of samples and the recall of each class, next to each other.

    Args:
        rows: the classes with samples, from top to bottom
    """
    numbers = list(range(len(rows)))
    names = [wrapped(row.name) for row in rows]
    sizes = [
        f"{name}<br>{counted(row.labelled, 'sample')}"
        for name, row in zip(names, rows, strict=True)
    ]
    recalls = [
        f"{name}<br>recall {percent(row.recall)}: {row.right} of {row.labelled}"
        for name, row in zip(names, rows, strict=True)
    ]
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "x": [row.labelled for row in rows],
            "y": numbers,
            "hovertext": sizes,
            "hoverinfo": "text",
            "marker": {"color": TRAIN},
            "xaxis": "x",
            "yaxis": "y",
        },
        {
            "type": "bar",
            "orientation": "h",
            "x": [row.recall for row in rows],
            "y": numbers,
            "hovertext": recalls,
            "hoverinfo": "text",
            "marker": {"color": VAL},
            "xaxis": "x2",
            "yaxis": "y",
        },
    ]
    short = [plotly(row.name) for row in rows]
    ticks = {"tickvals": numbers, "ticktext": short, "automargin": False}
    ticks["tickfont"] = {"size": 10, "color": GRAY}
    top = {"side": "top", "nticks": 4}
    layout = {
        "height": 70 + ROW_HEIGHT * len(rows),
        "margin": {"l": room_for(short), "r": 15, "t": 45, "b": 5},
        "xaxis": axis("samples") | {"domain": [0, 0.47], "rangemode": "tozero"} | top | FIXED,
        "xaxis2": axis("recall") | {"domain": [0.53, 1], "range": [0, 1]} | top | FIXED,
        "yaxis": axis("") | ticks | {"range": [len(rows) - 0.5, -0.5], "showgrid": False} | FIXED,
        "barmode": "overlay",
        "hovermode": "y",
        "hoverdistance": -1,
        "hoverlabel": {"align": "left"},
        "dragmode": False,
    }
    return traces, layout
