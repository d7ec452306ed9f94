"""Maps of a batch drawn and measured at once, beside one after the other."""

import numpy as np
import pytest
import torch
from PIL import Image

from fiftyone_gradcam.explain.drawing import Frames, draw, measure_all, peaks_of, png_rows
from fiftyone_gradcam.explain.measures import measure
from fiftyone_gradcam.explain.render import heatmap_size, render_heatmap, save_heatmap, save_rows
from fiftyone_gradcam.images.geometry import INTERPOLATIONS, RESIZES, seen_box

FRAMES = [(500, 375), (375, 500), (640, 640), (31, 17), (3000, 40), (7, 7)]


def some_maps(side=(7, 7)):
    random = np.random.default_rng(0)
    maps = (random.normal(size=(len(FRAMES), *side)) * 10.0 ** random.integers(-9, 4)).astype(
        np.float32
    )
    maps[0] = np.abs(maps[0])
    maps[-1] = 0
    return maps


def placed(maps, resize, interpolation, resolution=224):
    sizes = [heatmap_size(*frame, resolution) for frame in FRAMES]
    boxes = [seen_box(resize, *frame) for frame in FRAMES]
    grid = maps.shape[2], maps.shape[1]
    return Frames(grid, sizes, boxes, interpolation, torch.device("cpu")), sizes, boxes


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("resize", RESIZES)
def test_a_batch_is_drawn_as_its_maps_one_by_one(resize, interpolation):
    differing = total = 0
    for side in ((7, 7), (13, 13), (24, 11), (300, 300)):
        maps = some_maps(side)
        frames, sizes, boxes = placed(maps, resize, interpolation)
        cams = torch.from_numpy(maps)
        for peaks in (peaks_of(cams), torch.full((len(maps),), 1.5 * float(np.abs(maps).max()))):
            found = draw(cams, frames, peaks).numpy()
            for row, (frame, size, box) in enumerate(zip(FRAMES, sizes, boxes, strict=True)):
                right = render_heatmap(
                    maps[row], *frame, box, float(peaks[row]), 224, interpolation
                )
                drawn = found[row, : size[1], : size[0]]
                assert drawn.shape == right.shape
                assert ((drawn == 0) == (right == 0)).all()
                assert np.abs(drawn.astype(int) - right).max() <= 1
                differing += int((drawn != right).sum())
                total += right.size
    assert differing <= total / 1000


@pytest.mark.parametrize("resize", RESIZES)
def test_a_batch_is_measured_as_its_maps_one_by_one(resize):
    for side in ((7, 7), (13, 13), (24, 11)):
        maps = some_maps(side)
        maps[1] = -np.abs(maps[1])  # nothing speaks for the class
        boxes = [seen_box(resize, *frame) for frame in FRAMES]
        found = measure_all(torch.from_numpy(maps), boxes).numpy()
        for row, box in enumerate(boxes):
            right = measure(maps[row], box)
            if right is None:
                assert np.isnan(found[row]).all()
            else:
                values = [right.focus, *right.centroid, right.border]
                assert found[row] == pytest.approx(values, abs=1e-5)


def test_rows_are_the_same_file(tmp_path):
    maps = some_maps()
    frames, sizes, _ = placed(maps, "letterbox", "bicubic")
    pixels = draw(torch.from_numpy(maps), frames, peaks_of(torch.from_numpy(maps)))
    rows = png_rows(pixels).numpy()
    for row, (width, height) in enumerate(sizes):
        own = pixels[row, :height, :width].numpy()
        save_heatmap(own, str(tmp_path / "one.png"))
        path = tmp_path / "new folder" / f"{row}.png"
        save_rows(rows[row, :height, : width + 1], str(path))
        assert (tmp_path / "one.png").read_bytes() == path.read_bytes()
        with Image.open(path) as image:
            assert (np.asarray(image) == own).all()
