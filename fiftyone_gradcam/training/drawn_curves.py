"""Plots of training curves and of learning rate range tests."""

from __future__ import annotations

import math

# matplotlib is installed with FiftyOne. Figures are used as objects, without pyplot, whose global
# state is not thread-safe in a server.
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..disk import whole_file
from .curves import Points, kept_words, rates_by_epoch, training_points, validation_epochs
from .learning_rate import LearningRateTest

SIZE, DPI = (10.0, 7.0), 100  # inches; 1000 x 700 pixels
# The color-blind-safe palette of Okabe and Ito; the lines also differ in dashes.
TRAIN = {"color": "#0072B2", "linestyle": "-", "marker": "o", "label": "training"}
VAL = {"color": "#D55E00", "linestyle": "--", "marker": "s", "label": "validation"}
RATE = {"color": "#444444", "linestyle": "-", "marker": "o"}
GRAY = "#666666"
MANY = 40  # lines with more points have no markers
SPREAD = 30.0  # losses that differ by a larger factor are drawn on a logarithmic axis


def draw_curves(
    history: list[dict], validations: list[dict], path: str, title: str, best_epoch: int | None
) -> None:
    """Draw training curves as a PNG of 1000 x 700 pixels, written completely or not at all.

    Args:
        history, validations: rows of `Epoch.to_dict` and `Validation.to_dict`
        path: the file; its folder is created if needed
        title: the title of the plot
        best_epoch: the epoch whose weights were kept, which is marked; None marks nothing
    """
    _write(curves_figure(history, validations, title, best_epoch), path)


def draw_learning_rate_test(test: LearningRateTest, path: str, title: str) -> None:
    """Draw a learning rate range test as a PNG of 1000 x 700 pixels in `test.path`."""
    _write(learning_rate_figure(test, title), path)


def curves_figure(
    history: list[dict], validations: list[dict], title: str, best_epoch: int | None
) -> Figure:
    """Return the figure of `draw_curves`: loss, accuracy and learning rate over epochs.

    Training results are drawn at the end of their epoch, those of the new layers alone at 0, and
    validations at the time when they took place.
    """
    figure, panels = _panels(title, (3, 3, 1.4))
    loss, accuracy, rate = panels
    ends, places = [row["epoch"] for row in history], validation_epochs(validations)
    for panel, name in ((loss, "loss"), (accuracy, "accuracy")):
        _plot(panel, training_points(history, f"train_{name}"), TRAIN)
        _plot(panel, (places, [row[f"val_{name}"] for row in validations]), VAL)
        panel.set_ylabel(name)
        panel.margins(y=0.1)
    seen = [y for line in loss.lines for y in line.get_ydata() if math.isfinite(y)]
    if seen and 0 < min(seen) * SPREAD < max(seen):
        loss.set_yscale("log")
    _plot(rate, rates_by_epoch(history, validations), RATE)
    rate.set_ylim(bottom=0)
    rate.set_ylabel("learning rate")
    rate.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    rate.set_xlabel("epoch")
    alone = 0 in ends
    rate.set_xlim(left=-0.02 * max(ends) if alone else 0)
    rate.xaxis.set_major_locator(MaxNLocator(integer=True))
    rate.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: "new layers" if alone and x == 0 else f"{x:g}")
    )
    if best_epoch is not None:
        _mark_best(panels, validations, places, best_epoch)
    if loss.lines:
        loss.legend(frameon=False)
    return figure


def _mark_best(
    panels: list[Axes], validations: list[dict], places: list[float], best_epoch: int
) -> None:
    own = [
        (row["val_accuracy"], -row["val_loss"], x)
        for row, x in zip(validations, places, strict=True)
        if row["epoch"] == best_epoch and math.isfinite(row["val_loss"])
    ]
    place, label = float(best_epoch), f"kept: {kept_words(best_epoch)}"
    if own:
        best, _, place = max(own)
        label += f", validation accuracy {best:.1%}"
        ring = {"marker": "o", "markersize": 13, "markerfacecolor": "none", "linestyle": "none"}
        panels[1].plot([place], [best], color=VAL["color"], **ring)
    for panel in panels:
        panel.axvline(place, color=GRAY, linewidth=1.5, linestyle=":", zorder=1, label=label)


def learning_rate_figure(test: LearningRateTest, title: str) -> Figure:
    """Return the figure of `draw_learning_rate_test`: the loss over the learning rate."""
    figure, (panel,) = _panels(title, (1,))
    rates, smoothed = test.learning_rates, test.smoothed
    panel.plot(rates, test.losses, color=TRAIN["color"], alpha=0.35, label="each batch")
    panel.plot(rates, smoothed, color=TRAIN["color"], linewidth=2.5, label="smoothed")
    panel.set_xscale("log")
    panel.set_xlabel("learning rate of the backbone")
    panel.set_ylabel("training loss")
    if test.suggestion is not None:
        label = f"suggested: {test.suggestion:.1e}"
        panel.axvline(test.suggestion, color=VAL["color"], linewidth=2, linestyle="--", label=label)
    label = f"recipe: {test.recipe_rate:.1e}"
    panel.axvline(test.recipe_rate, color=GRAY, linewidth=2, linestyle=":", label=label)
    # Rates that ruin the network give losses so high that they would hide the rest of the curve.
    bottom = smoothed.index(min(smoothed))
    highest = max(*test.losses[: bottom + 1], 1.5 * max(smoothed[: bottom + 1]))
    if max(test.losses) > highest:
        panel.set_ylim(top=highest)
    panel.set_ylim(bottom=0)
    panel.legend(frameon=False)
    return figure


def _panels(title: str, heights: tuple[float, ...]) -> tuple[Figure, list[Axes]]:
    """Return an empty figure with panels above each other that share their x axis."""
    figure = Figure(SIZE, DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    # A dollar sign in a name would start a formula.
    figure.suptitle(title, fontsize=14, parse_math=False)
    grid = figure.subplots(
        len(heights), sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    panels = list(grid[:, 0])
    for panel in panels:
        panel.grid(color="#DDDDDD", linewidth=0.8)
        panel.set_axisbelow(True)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    return figure, panels


def _plot(panel: Axes, points: Points, style: dict) -> None:
    """Plot a line with gaps where values are missing; nothing if all are missing."""
    places = list(points[0])
    values = [math.nan if y is None or not math.isfinite(y) else y for y in points[1]]
    if all(map(math.isnan, values)):
        return
    few = {} if len(values) <= MANY else {"marker": ""}
    panel.plot(places, values, markersize=5, linewidth=1.8, clip_on=False, **{**style, **few})


def _write(figure: Figure, path: str) -> None:
    with whole_file(path) as part:
        figure.canvas.print_png(part)
