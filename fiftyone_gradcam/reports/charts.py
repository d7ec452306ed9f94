"""Draw training curves as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..training.curves import Points, kept_words, training_points, validation_epochs
from .html import Html, tag

WIDTH, HEIGHT = 520, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 14, 42
SPREAD = 30.0  # the axis is logarithmic if losses differ by a larger factor
MANY = 40  # no dots for more points than this


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, its class in the style sheet, and its points."""

    name: str
    style: str
    points: Points


def training_charts(
    history: list[dict], validations: list[dict], best_epoch: int | None
) -> list[Html]:
    """Draw loss and accuracy over epochs.

    Training values are drawn at the end of each epoch, and validation values where the validation
    took place. Charts without values are left out.

    Args:
        history, validations: rows of `Epoch.to_dict` and `Validation.to_dict`
        best_epoch: the epoch whose weights were kept
    """
    ends = [row["epoch"] for row in history]
    places = validation_epochs(validations) if validations else ends
    rows = validations or history
    charts = []
    for what in ("loss", "accuracy"):
        lines = [
            Line("training", "training", training_points(history, f"train_{what}")),
            Line("validation", "validation", (places, [row.get(f"val_{what}") for row in rows])),
        ]
        lines = [line for line in lines if any(map(_is_number, line.points[1]))]
        if lines:
            charts.append(chart(what.capitalize(), lines, best_epoch, is_share=what == "accuracy"))
    return charts


def chart(title: str, lines: Sequence[Line], mark: float | None, is_share: bool = False) -> Html:
    """Draw a line chart over epochs.

    Args:
        title: title of the vertical axis
        lines: lines, with at least one value
        mark: position of a vertical line; None for no line
        is_share: whether values are in [0, 1]
    """
    xs = [x for line in lines for x in line.points[0]]
    ys = [y for line in lines for y in line.points[1] if _is_number(y)]
    logarithmic = not is_share and 0 < min(ys) * SPREAD < max(ys)
    right = max(*xs, 1)
    ticks = _powers(min(ys), max(ys)) if logarithmic else _ticks(ys, is_share)
    low, high = (_log(ticks[0]), _log(ticks[-1])) if logarithmic else (ticks[0], ticks[-1])

    def across(x: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * x / right, 1)

    def down(y: float) -> float:
        share = ((_log(y) if logarithmic else y) - low) / (high - low)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(share, 0), 1), 1)

    parts = []
    for y in ticks:
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=down(y), y2=down(y), class_="grid"))
        parts.append(tag("text", f"{y:g}", x=LEFT - 8, y=down(y) + 4, text_anchor="end"))
    for x in _epochs(right):
        name = "new layers" if x == 0 and 0 in lines[0].points[0] else x
        parts.append(tag("text", name, x=across(x), y=HEIGHT - BOTTOM + 18, text_anchor="middle"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(tag("text", "epoch", x=middle, y=HEIGHT - 6, text_anchor="middle"))
    if mark is not None:
        place = {"x1": across(mark), "x2": across(mark), "y1": TOP, "y2": HEIGHT - BOTTOM}
        parts.append(tag("line", **place, class_="kept"))
    for line in lines:
        parts += _drawn(line, across, down)
    names = " and ".join(line.name for line in lines)
    picture = tag(
        "svg",
        tag("title", f"{title} of {names} by epoch"),
        *parts,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )
    legend = [tag("span", tag("i", class_=line.style), line.name) for line in lines]
    if mark is not None:
        legend.append(tag("span", tag("i", class_="kept"), f"kept: {kept_words(mark)}"))
    caption = tag("figcaption", tag("b", title), *legend)
    return tag("figure", caption, picture, class_="chart")


def _drawn(line: Line, across, down) -> list[Html]:
    """Draw a line, with gaps where a value is missing."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(*line.points, strict=True):
        if _is_number(y):
            pieces[-1].append((across(x), down(y)))
        elif pieces[-1]:
            pieces.append([])
    drawn = [
        tag("polyline", points=" ".join(f"{x},{y}" for x, y in piece), class_=line.style)
        for piece in pieces
        if len(piece) > 1
    ]
    if sum(map(len, pieces)) <= MANY:
        drawn += [tag("circle", cx=x, cy=y, r=3.5, class_=line.style) for p in pieces for x, y in p]
    return drawn


def _is_number(y: object) -> bool:
    return isinstance(y, int | float) and math.isfinite(y)


def _log(y: float) -> float:
    return math.log10(max(y, 1e-12))


def _powers(low: float, high: float) -> list[float]:
    first, last = math.floor(_log(low)), math.ceil(_log(high))
    return [float(10**power) for power in range(first, last + 1)]


def _ticks(ys: Sequence[float], is_share: bool) -> list[float]:
    """Four to seven round values that cover the given values."""
    low, high = min(0.0, *ys) if not is_share else min(ys), max(ys)
    if is_share:
        high = 1.0
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if span / s <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, max(last, first + 1) + 1)]


def _epochs(right: float) -> list[int]:
    """Whole epochs to label, about ten at most."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**6) if right / s <= 10)
    return list(range(0, math.floor(right) + 1, step))
