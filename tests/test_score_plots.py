"""Plots of scores and classes: every bar is seen, at its place, and says what it is."""

import html
import math

import numpy as np
import pytest

from fiftyone_gradcam.app.panels.plots import confusion_plot, curves_plot, reliability_plot
from fiftyone_gradcam.app.panels.score_plots import class_bars_plot, histogram_plot
from fiftyone_gradcam.review.calibration import Bin
from fiftyone_gradcam.review.confusion import ClassRow

NAMES = ["a", "<b> & a name that is long", "c"]
MATRIX = np.array([[3, 1, 0], [0, 4, 0], [2, 0, 0]])
EPOCHS = [{"epoch": n, "train_loss": 1 / n, "train_accuracy": 0.5} for n in (1, 2)]
VALIDATIONS = [
    {"iteration": n, "epoch": n, "val_loss": 1, "val_accuracy": 1, "learning_rate": 1}
    for n in (1, 2)
]
PLOTS = {
    "curves": curves_plot({"history": EPOCHS, "validations": VALIDATIONS}, 1),
    "matrix": confusion_plot(MATRIX, NAMES, NAMES),
    "matrix of many": confusion_plot(np.eye(22, dtype=int), NAMES[1:2] * 22, NAMES[1:2] * 22),
    "reliability": reliability_plot([Bin(0.0, 0.5, 0, None, None), Bin(0.5, 1.0, 3, 0.6, 1 / 3)]),
    "histogram": histogram_plot(np.array([1, 0, 4]), np.array([0, 1, 90]), NAMES[1], 0.5),
    "classes": class_bars_plot([ClassRow(name, 8, 5, 4) for name in NAMES]),
}


@pytest.mark.parametrize(
    "counts", [[0, 0], [1, 0], [1, 31], [1, 30], [2, 90_000], [10, 10_000, 1], [3, 0, 1_000_000]]
)
def test_every_bar_of_a_histogram_is_seen(counts):
    counts = np.array(counts)
    traces, layout = histogram_plot(counts, counts, "a", 0.5)
    some = counts[counts > 0]
    for trace, axis in zip(traces, (layout["yaxis"], layout["yaxis2"]), strict=True):
        assert trace["y"] == [n or None for n in counts.tolist()]
        if axis.get("type") == "log":
            low, high = axis["range"]
            for height in np.log10(some):  # at least a fiftieth of the height, and not cut off
                assert low + (high - low) / 50 < height < high
            assert high < math.log10(some.max()) + 0.5  # nor lost below empty space
        else:
            assert axis["rangemode"] == "tozero"
            assert len(some) == 0 or some.min() >= some.max() / 30
        # Each bar lies in its bin, and fills most of it.
        for place, (middle, width) in enumerate(zip(trace["x"], trace["width"], strict=True)):
            low, high = place / len(counts), (place + 1) / len(counts)
            assert low < middle - width / 2 < middle + width / 2 < high
            assert width > 0.9 * (high - low)
            words = trace["hovertext"][place]
            assert words.startswith(
                f"{counts[place]} {'image' if counts[place] == 1 else 'images'} of "
            )
            assert words.endswith(f"with a score of {low:.2f} to {high:.2f}")
    (below, above), (lower, upper) = layout["yaxis2"]["domain"], layout["yaxis"]["domain"]
    assert 0 == below < above < lower < upper == 1


def test_bars_of_classes_are_in_the_order_of_the_rows():
    rows = [
        ClassRow("ants", 8, 5, 4),
        ClassRow("none", 0, 2, 0),
        ClassRow("<b>", 1, 1, 1),
    ]
    (sizes, recalls), layout = class_bars_plot(rows)
    assert (sizes["x"], sizes["y"]) == ([8, 0, 1], [0, 1, 2])
    assert (recalls["x"], recalls["y"]) == ([0.5, None, 1.0], [0, 1, 2])
    assert (sizes["orientation"], recalls["orientation"]) == ("h", "h")
    assert sizes["hovertext"] == ["ants<br>8 samples", "none<br>0 samples", "&lt;b&gt;<br>1 sample"]
    assert recalls["hovertext"][0] == "ants<br>recall 50.0%: 4 of 8"
    assert recalls["hovertext"][2] == "&lt;b&gt;<br>recall 100.0%: 1 of 1"
    assert (layout[sizes["xaxis"].replace("x", "xaxis")]["title"]["text"]) == "samples"
    assert layout["xaxis2"]["title"]["text"] == "recall"
    assert layout["xaxis2"]["range"] == [0, 1]
    ticks = layout["yaxis"]
    assert (ticks["tickvals"], ticks["ticktext"]) == ([0, 1, 2], ["ants", "none", "&lt;b&gt;"])
    assert ticks["range"] == [2.5, -0.5]  # the first row on top, each with room of its own
    assert layout["xaxis"]["domain"][1] < layout["xaxis2"]["domain"][0]
    heights = [class_bars_plot(rows * n)[1]["height"] for n in (1, 2, 3)]
    assert heights[1] - heights[0] == heights[2] - heights[1] > 3 * 10


@pytest.mark.parametrize("name", PLOTS)
def test_each_plot_has_room_for_its_names_and_shows_in_words_what_is_pointed_at(name):
    traces, layout = PLOTS[name]
    margin = layout["margin"]
    assert layout["height"] - margin["t"] - margin["b"] >= 60
    assert layout.get("showlegend", False) == (name == "curves")  # where no words say what is what
    assert name == "curves" or layout["dragmode"] is False
    # The bars of a row or column are pointed at wherever the mouse is in it.
    anywhere = name in ("histogram", "classes")
    assert layout.get("hoverdistance") == (-1 if anywhere else None)
    axes = {key: x for key, x in layout.items() if key[1:].startswith("axis")}
    for key, axis in axes.items():
        side = "l" if key[0] == "y" else axis.get("side", "b")[0]
        least = 30 if axis["title"]["text"] else 0
        if "ticktext" in axis:
            longest = max(len(html.unescape(text)) for text in axis["ticktext"])
            is_turned = key[0] == "x" and "tickangle" in axis
            least += 6 * longest + 5 if key[0] == "y" or is_turned else 0  # pixels of letters
            assert axis["automargin"] is False  # Plotly's may not terminate
        assert least <= margin[side] <= 4 * least + 40
        low, high = axis.get("domain", (0, 1))
        assert 0 <= low < high <= 1
        assert (axis["zeroline"], axis.get("fixedrange")) == (
            False,
            None if name == "curves" else True,
        )
    for trace in traces:
        assert {trace.get(x, x[0]).replace(x[0], x) for x in ("xaxis", "yaxis")} <= {*axes}
        if trace["type"] == "heatmap":
            assert (trace["zmin"], trace["zmax"], trace["showscale"]) == (0, 1, False)
            assert np.shape(trace["text"]) == np.shape(trace["z"])
        if trace["type"] == "bar":
            assert len(trace["hovertext"]) == len(trace["x"]) == len(trace["y"])
        if name != "curves":
            assert trace["hoverinfo"] == ("skip" if trace["type"] == "scatter" else "text")
