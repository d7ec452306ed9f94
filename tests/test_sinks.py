"""What a pass computes for its sinks, what these keep of it, and in how many processes."""

import numpy as np
import pytest
import test_passes
import torch

from fiftyone_gradcam.explain.render import HeatmapOptions
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.passes import engine
from fiftyone_gradcam.passes.engine import run_pass
from fiftyone_gradcam.passes.heatmaps import Heatmaps
from fiftyone_gradcam.passes.sinks import Sink
from fiftyone_gradcam.passes.unusual import NormalCells, _Cells

CLASSES, network, paths = test_passes.CLASSES, test_passes.network, test_passes.paths


def test_a_common_scale_is_that_of_the_maps_asked_for(network, paths):
    """A runner-up alone is drawn up to its own peak: no other map sets the scale."""
    found = []
    options = HeatmapOptions(scale="pair", storage="database", resolution=48)
    labels = np.arange(23) % 3
    add = lambda _, rows: found.extend(heatmap.stored for (heatmap,) in rows)  # noqa: E731
    sink = Heatmaps(["runner_up"], options, CLASSES, labels, "squash", lambda *_: "", add)
    run_pass(Images(paths, 32), network, [sink], 6)
    drawn = [one["map"].max() for one in found if one["peak"] > 0]
    assert len(found) == 21
    assert set(drawn) == {255}


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("kind", ["splits", "explains", "cellwise"])
def test_what_one_sink_needs_is_computed_for_all(network, paths, kind, place):
    seen = []

    class Needy(Sink):
        def compute(self, given):
            seen.append(given)

    needy, other = Needy(), Sink()
    setattr(needy, kind, True)
    kinds = ("splits", "explains", "cellwise")
    work = engine._Work(
        network, [needy, other][:: 1 - 2 * place], network.device, True, engine.PILLOW
    )
    assert [getattr(work, one) for one in kinds] == [one == kind for one in kinds]
    none = engine._Work(network, [other], network.device, False, engine.PILLOW)
    assert [getattr(none, one) for one in kinds] == [False] * 3
    batch = Images(paths, 32).load(np.arange(2))
    work.compute(batch, batch.images)
    assert seen[0].positions.tolist() == [0, 1]
    assert seen[0].frames.tolist() == [[40, 50], [41, 50]]


def test_without_heatmaps_nothing_is_explained():
    def made(kinds, method="gradcam"):
        options = HeatmapOptions(method=method)
        return Heatmaps(kinds, options, CLASSES, np.arange(3), "crop", None, None)

    assert (made(["label"]).explains, made([]).explains) == (True, False)
    assert (made(["label"]).cellwise, made(["label"], "hirescam").cellwise) == (False, True)


def test_normal_images_are_compared_with_others(network, paths):
    """Of each normal image the cells are in one bank, and it is compared with the other."""
    places = np.array([0, 1, 2, 4, 5, 6, 7])
    images = Images(paths, 32)
    cells = NormalCells(network, images, places, 3, lambda *_: None)
    sink = _Cells()
    run_pass(images, network, [sink], 3, positions=places)
    for place in places.tolist():
        side = cells.side[place]
        own, other = (cells._far(sink.found[place], bank) for bank in (1 - side, side))
        assert float(other.max()) < 0.05  # its own bank has the same cells
        assert float(own.min()) > 10 * float(other.max())
    every = torch.cat([sink.found[place] for place in places.tolist()])
    torch.testing.assert_close(cells.mean, every.mean(0))
    least = 0.1 * every.std(0).mean()
    torch.testing.assert_close(cells.deviation, every.std(0).clamp(min=float(least)))


@pytest.mark.parametrize(
    ("processors", "count", "processes"),
    [(7, 500, 0), (8, 499, 0), (8, 500, 8), (31, 9999, 31), (64, 500, 32), (None, 9999, 0)],
)
def test_many_images_are_decoded_in_processes_where_there_are_many_processors(
    monkeypatch, processors, count, processes
):
    monkeypatch.setattr(engine.os, "cpu_count", lambda: processors)
    assert engine.decoding_processes(count) == processes
