"""Plots in Plotly's format: traces and layout, made from rows and counts."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from fiftyone.operators import types

from ...review.calibration import Bin
from ...review.confusion import normalized
from ...training.curves import rates_by_epoch, training_points, validation_epochs
from ..texts import percent, plotly, wrapped

# Colors that color-blind people can distinguish (Okabe and Ito); line styles differ too.
TRAIN, VAL, RATE = "#4aa3df", "#e8853a", "#999999"
GRAY = "#888888"  # legible on dark and light backgrounds
# Numbers are black in cells of shares up to this, and white in darker ones: both are legible.
INK, MOST_LIGHT = "#000000", 0.72
EMPTY, LEAST_SHARE = "rgba(120,120,120,0.08)", 5e-5  # cells without samples, and below this share
SPREAD = 30.0  # losses that differ by a larger factor get a logarithmic axis
MOST_LARGE = 12  # classes up to which the cells of a matrix have room for large numbers
MOST_NUMBERS = 21  # classes; with more, cells are too small for a number
# The mouse wheel scrolls the panel instead of zooming, and dragging changes nothing.
STILL = {"displayModeBar": False, "scrollZoom": False, "responsive": True}
FIXED = {"fixedrange": True}
# FiftyOne makes the box of a plot as high as the panel, and overrides "sx" there.
AS_HIGH_AS_ITS_PLOT = {x: {"style": {"height": "auto"}} for x in ("container", "item")}


def draw_plot(
    panel: types.Object,
    name: str,
    plot: tuple[list[dict], dict],
    on_click: Callable | None = None,
    shows: object = None,
) -> None:
    """Draw a plot in the panel.

    Its traces are part of the panel's output. The App would copy panel data into the panel's
    state, which it sends to the server several times with each click.

    Args:
        panel: the panel to draw in
        name: of the plot
        plot: its traces and layout, as the functions below return them
        on_click: called with what was clicked
        shows: what the plot shows, for `shown_in` of a click
    """
    traces, layout = plot
    # The height of the element: Plotly drops that of the layout when the width changes.
    size = {"height": layout["height"], "componentsProps": AS_HIGH_AS_ITS_PLOT}
    more = {"shows": shows} if on_click else {}
    panel.plot(name, data=traces, layout=layout, config=STILL, on_click=on_click, **size, **more)


def load_ahead(panel: types.Object) -> None:
    """Add a plot that is not visible, so that the browser loads Plotly before it is needed."""
    hidden = {"container": {"style": {"display": "none"}}}
    panel.plot("ahead", data=[], layout={}, config=STILL, height=1, componentsProps=hidden)


def shown_in(ctx) -> object:
    """Return what a plot showed when it was clicked; the panel may show something else by now."""
    return ctx.params["view"]["shows"]


def curves_plot(rows: dict, best_epoch: int | None = None) -> tuple[list[dict], dict]:
    """Plot loss, accuracy and learning rate over epochs, below each other.

    Args:
        rows: "history" and "validations" of a run, and "running" and "epochs" of a training in
            progress (see `fiftyone_gradcam.dataset.live`)
        best_epoch: the epoch whose weights were kept, which is marked; None marks nothing
    """
    history, validations = rows["history"], rows["validations"]
    seen = [*history, running] if (running := rows.get("running")) else history
    ends, places = [row["epoch"] for row in seen], validation_epochs(validations)
    traces, losses = [], []
    for number, name in enumerate(("loss", "accuracy"), 1):
        trained = training_points(seen, f"train_{name}")
        traces.append(_line(*trained, "training", TRAIN, "solid", number))
        validated = [row.get(f"val_{name}") for row in validations]
        traces.append(_line(places, validated, "validation", VAL, "dot", number))
        values = (*trained[1], *validated) if name == "loss" else ()
        losses += [y for y in values if y and math.isfinite(y)]
    steps, rates = rates_by_epoch(history, validations)
    traces.append(_line(steps, rates, "learning rate", RATE, "solid", 3))
    is_wide = bool(losses) and 0 < min(losses) * SPREAD < max(losses)
    last = max([rows.get("epochs") or 1, *ends])
    layout = {
        "height": 430,
        "margin": {"l": 62, "r": 15, "t": 10, "b": 40},
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.08, "x": 0},
        "xaxis": axis("epoch") | {"anchor": "y3", "range": [-0.05 * (0 in ends), 1.02 * last]},
        "yaxis": axis("loss")
        | {"domain": [0.62, 1]}
        | ({"type": "log", "dtick": 1} if is_wide else {"rangemode": "tozero"}),
        "yaxis2": axis("accuracy") | {"domain": [0.2, 0.56]},
        "yaxis3": axis("rate") | {"domain": [0, 0.14], "rangemode": "tozero", "nticks": 3},
        "hovermode": "x",
    }
    if best_epoch is not None:
        line = {"color": RATE, "dash": "dot", "width": 1.5}
        layout["shapes"] = [
            {
                "type": "line",
                "x0": best_epoch,
                "x1": best_epoch,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "line": line,
            }
        ]
    return traces, layout


def _line(
    places: Sequence[float],
    values: Sequence[float | None],
    name: str,
    color: str,
    dash: str,
    number: int,
) -> dict:
    few = len(values) <= 40
    return {
        "type": "scatter",
        "mode": "lines+markers" if few else "lines",
        "x": list(places),
        "y": [None if y is None or not math.isfinite(y) else y for y in values],
        "name": name,
        "line": {"color": color, "dash": dash, "width": 2},
        "marker": {"size": 5},
        "xaxis": "x",
        "yaxis": "y" if number == 1 else f"y{number}",
        "showlegend": number == 1,
    }


def axis(title: str) -> dict:
    """Return the common properties of axes; FiftyOne sets colors only for the first of a plot."""
    return {
        "title": {"text": title, "font": {"size": 12, "color": GRAY}},
        "tickfont": {"size": 11, "color": GRAY},
        "gridcolor": "rgba(128,128,128,0.25)",
        "zeroline": False,
        "exponentformat": "e",
    }


def confusion_plot(
    matrix: np.ndarray, labels: Sequence[str], predictions: Sequence[str], by: str = "row"
) -> tuple[list[dict], dict]:
    """Plot a confusion matrix as a heatmap.

    The axes are numeric, so that a click returns the index of a class, whatever its name.

    Args:
        matrix: (L, P) numbers of samples
        labels, predictions: names of the rows and columns
        by: the meaning of colors: "row" for fractions of a label, "column" for fractions of a
            prediction, "count" for numbers of samples
    """
    shares = matrix / max(matrix.max(), 1) if by == "count" else normalized(matrix, by)
    rows, columns = [plotly(name) for name in labels], [plotly(name) for name in predictions]
    count = max(len(rows), len(columns))
    of = {"row": "of the label", "column": "of the prediction"}.get(by)
    long_rows, long_columns = [wrapped(x) for x in labels], [wrapped(x) for x in predictions]
    texts = [
        [
            f"{row}<br>predicted as {column}:<br>{n}{f' ({percent(share)} {of})' if of else ''}"
            if n
            else ""
            for column, n, share in zip(long_columns, counts, own, strict=True)
        ]
        for row, counts, own in zip(long_rows, matrix.tolist(), shares.tolist(), strict=True)
    ]
    trace = {
        "type": "heatmap",
        "x": list(range(len(columns))),
        "y": list(range(len(rows))),
        # The smallest share has the color of a cell that is not empty.
        "z": np.where(matrix > 0, np.maximum(shares.round(4), 2 * LEAST_SHARE), 0.0).tolist(),
        "text": texts,
        "hoverinfo": "text",
        "colorscale": [[0, EMPTY], [LEAST_SHARE, EMPTY], [LEAST_SHARE, "#d8e6f3"], [1, "#0b4f8a"]],
        "zmin": 0,
        "zmax": 1,
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }
    title = "prediction" if by == "count" else f"prediction; % {of}"
    left = room_for(rows)
    below = room_for(columns) if _is_crowded(columns) else 20
    layout = {
        "height": 60 + below + min(max(110, 34 * len(rows)), 500),
        "margin": {"l": left, "r": 10, "t": 10, "b": 40 + below},
        "xaxis": axis(title) | _names(columns) | {"range": [-0.5, len(columns) - 0.5]} | FIXED,
        "yaxis": axis("") | _names(rows) | {"range": [len(rows) - 0.5, -0.5]} | FIXED,
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "dragmode": False,
    }
    if _is_crowded(columns):
        layout["xaxis"] |= {"tickangle": -90}
        layout["xaxis"]["title"] |= {"standoff": 10}
    if count > MOST_NUMBERS:
        return [trace], layout
    # As scatter points, because each annotation makes the browser lay out the whole page.
    cells = matrix if by == "count" else (100 * shares).round().astype(int)
    unit = "%" if by != "count" and count <= MOST_LARGE else ""  # named below the plot too
    places = np.argwhere(matrix).tolist()
    colors = ["white" if shares[i, j] > MOST_LIGHT else INK for i, j in places]
    numbers = {
        "type": "scatter",
        "mode": "text",
        "x": [j for _, j in places],
        "y": [i for i, _ in places],
        "text": [f"{cells[i, j] or '&lt;1'}{unit}" for i, j in places],
        "textfont": {"color": colors, "size": 12 if count <= MOST_LARGE else 9},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return [trace, numbers], layout


def _names(names: list[str]) -> dict:
    """Return an axis of classes with a fixed margin; Plotly's automatic one may not terminate."""
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "automargin": False}
    return {"type": "linear", "showgrid": False, **ticks, "tickfont": {"size": 10, "color": GRAY}}


def _is_crowded(names: Sequence[str]) -> bool:
    """Return whether names below a plot would overlap in a narrow panel."""
    return sum(room_for([name]) for name in names) > 350


def room_for(names: Sequence[str]) -> int:
    """Return the width in pixels of the longest of some names, in the font of class axes."""

    def width(name: str) -> float:
        text = html.unescape(name)
        return sum(11 if unicodedata.east_asian_width(x) in "WF" else 6 for x in text)

    return round(max(map(width, names), default=0)) + 12


def reliability_plot(bins: Sequence[Bin]) -> tuple[list[dict], dict]:
    """Plot a reliability diagram: the accuracy by confidence, and the line where both agree."""
    texts = [
        f"{one.count} of confidence {one.low:.1f} to {one.high:.1f}: {percent(one.accuracy)} right"
        for one in bins
    ]
    bars = {
        "type": "bar",
        "x": [(one.low + one.high) / 2 for one in bins],
        "y": [one.accuracy or 0 for one in bins],
        "width": [one.high - one.low for one in bins],
        "text": [str(one.count) if one.count else "" for one in bins],
        "hovertext": texts,
        "hoverinfo": "text",
        "marker": {"color": TRAIN, "line": {"color": GRAY, "width": 1}},
        "showlegend": False,
    }
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"color": VAL, "dash": "dot"},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    layout = {
        "height": 260,
        "margin": {"l": 55, "r": 15, "t": 10, "b": 45},
        "xaxis": axis("confidence") | {"range": [0, 1]} | FIXED,
        "yaxis": axis("share that is right") | {"range": [0, 1]} | FIXED,
        "dragmode": False,
    }
    return [bars, line], layout
