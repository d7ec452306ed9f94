"""Plots of scores and classes: every bar is seen, at its place, and says what it is."""

import math

import numpy as np
import pytest

from fiftyone_gradcam.app.panels.score_plots import class_bars_plot, histogram_plot
from fiftyone_gradcam.review.confusion import ClassRow


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
