"""Maps in the frame of the image: where the pixels go, how they are scaled, and their measures."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.explain.measures import measure
from fiftyone_gradcam.explain.render import (
    HeatmapOptions,
    heatmap_size,
    peak_of,
    render_heatmap,
    save_heatmap,
)
from fiftyone_gradcam.explain.signed import signed_pixels
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.geometry import placed, seen_box, to_frame, to_square
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.small_cnn import SmallCNN


def test_heatmap_peaks_where_the_map_does():
    cam = np.zeros((7, 7), np.float32)
    cam[1, 5] = 0.02
    pixels = render_heatmap(cam, width=700, height=350, resolution=512)
    assert peak_of(cam) == pytest.approx(0.02)
    assert pixels.shape == (256, 512)
    row, column = np.unravel_index(pixels.argmax(), pixels.shape)
    assert abs(row - (1.5 / 7) * 256) < 4
    assert abs(column - (5.5 / 7) * 512) < 4
    assert pixels.max() >= 250
    assert pixels.min() == 1
    steps = np.abs(np.diff(pixels.astype(int), axis=1)).max()
    assert steps < 12  # smooth: a nearest-neighbour map jumps by 254


def test_a_map_of_zeros_stays_zero():
    pixels = render_heatmap(np.zeros((7, 7), np.float32), 20, 10)
    assert pixels.shape == (10, 20)
    assert not pixels.any()


def test_a_peak_of_zero_draws_nothing():
    assert not render_heatmap(np.ones((2, 2), np.float32), 4, 4, peak=0.0).any()


def test_heatmap_size_keeps_the_aspect_ratio():
    assert heatmap_size(200, 100) == (200, 100)
    assert heatmap_size(4000, 1000) == (224, 56)
    assert heatmap_size(5000, 1) == (224, 1)
    assert heatmap_size(4000, 1000, 512) == (512, 128)


def test_measures_of_known_maps():
    even = measure(np.ones((7, 7), np.float32))
    assert even.focus == pytest.approx(0.1, abs=1e-3)
    assert even.centroid == pytest.approx((0.5, 0.5), abs=1e-3)
    assert even.border == pytest.approx(0.36, abs=1e-3)
    spot = np.zeros((20, 20), np.float32)
    spot[5, 14] = 3.0
    found = measure(spot)
    assert found.focus > 0.99
    assert found.centroid == pytest.approx((14.5 / 20, 5.5 / 20), abs=0.01)
    assert found.border < 0.01
    corner = np.zeros((20, 20), np.float32)
    corner[0, 0] = 1e-9
    assert measure(corner).border > 0.99
    assert measure(corner).centroid[0] < 0.05
    assert measure(np.zeros((7, 7), np.float32)) is None
    left = np.zeros((10, 10), np.float32)
    left[:, :5] = 1
    assert measure(left).focus == pytest.approx(0.2, abs=0.01)


def test_what_is_seen_of_an_oblong_image():
    assert seen_box("squash", 500, 250) == (0, 0, 1, 1)
    # The preset sees 224/256 of the shorter side: 218.75 of 250 pixels, in the middle of 500.
    assert seen_box("crop", 500, 250) == pytest.approx(
        (140.625 / 500, 1 / 16, 359.375 / 500, 15 / 16)
    )
    assert seen_box("letterbox", 500, 250) == pytest.approx((0, -0.5, 1, 1.5))
    with pytest.raises(ValueError, match=r"squash, crop, letterbox, not 'stretch'"):
        seen_box("stretch", 10, 10)


def test_squares_of_an_oblong_image():
    """Left half red, right half blue, a green line at the left edge and one along the middle."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, :100, 0] = pixels[:, 100:, 2] = 255
    pixels[:, :4] = (0, 255, 0)
    image = Image.fromarray(pixels)
    squashed = to_square(image, 64, "squash")
    assert squashed[:, :1, 1].min() > 200  # the edge is still there
    assert (squashed[:, 31, 0].min(), squashed[:, 32, 2].min()) >= (200, 200)
    cropped = to_square(image, 64, "crop")
    assert cropped[..., 1].max() == 0  # the edge is cut off
    assert (cropped[:, :31, 0].min(), cropped[:, 33:, 2].min()) == (255, 255)
    boxed = to_square(image, 64, "letterbox")
    assert (boxed[:15] == (124, 116, 104)).all()
    assert (boxed[49:] == (124, 116, 104)).all()
    assert boxed[17:47, :1, 1].min() > 200
    assert boxed[17:47, 40:, 2].min() == 255


def test_a_crop_is_torchvisions_preset():
    from sklearn.datasets import load_sample_image
    from torchvision.transforms.v2.functional import center_crop, pil_to_tensor, resize

    image = Image.fromarray(load_sample_image("china.jpg")).resize((576, 384))
    theirs = center_crop(pil_to_tensor(resize(image, 256)), 224).permute(1, 2, 0).numpy()
    found = to_square(image, 224, "crop")
    assert np.abs(found.astype(int) - theirs).max() <= 2


@pytest.mark.parametrize("resize", ["squash", "crop", "letterbox"])
def test_a_map_goes_back_to_where_its_pixels_came_from(resize):
    """A white spot is moved over an oblong image; the square that a model would see of it,
    averaged to a 7 x 7 grid and put back, peaks at the spot."""
    width, height = 320, 160
    for x, y in ((130, 60), (160, 80), (205, 110)):
        image = Image.new("RGB", (width, height))
        ImageDraw.Draw(image).ellipse((x - 9, y - 9, x + 9, y + 9), fill="white")
        square = to_square(image, 224, resize)[..., 0].astype(np.float32)
        square = (square - 124).clip(0)  # the bars of a letterbox are grey
        grid = square.reshape(14, 16, 14, 16).mean((1, 3))
        frame = to_frame(grid, width, height, seen_box(resize, width, height))
        row, column = np.unravel_index(frame.argmax(), frame.shape)
        assert abs(column - x) <= 16  # a cell is up to 23 pixels wide
        assert abs(row - y) <= 16


def test_a_map_need_not_be_square():
    """A letterbox of 40 x 20 pixels sees 40 x 40: cells of 10 x 20, cut at the image's edges."""
    cam = np.arange(1, 9, dtype=np.float32).reshape(2, 4)
    frame = to_frame(cam, 40, 20, seen_box("letterbox", 40, 20), "nearest")
    assert frame.tolist() == cam.repeat(10, 0).repeat(10, 1).tolist()


def test_outside_of_what_was_seen_is_zero():
    box = seen_box("crop", 400, 200)
    pixels = render_heatmap(np.ones((7, 7), np.float32), 400, 200, box, resolution=400)
    left, top, right, bottom = placed(box, 400, 200)
    assert (left, top, right, bottom) == (113, 13, 287, 187)
    inside = np.zeros((200, 400), bool)
    inside[top:bottom, left:right] = True
    assert (pixels[inside] == 255).all()
    assert (pixels[~inside] == 0).all()
    letterboxed = render_heatmap(np.ones((7, 7), np.float32), 400, 200, (0, -0.5, 1, 1.5))
    assert (letterboxed == 255).all()


def test_scales_and_signs():
    cam = np.array([[1.0, -0.5], [0.0, 0.5]], np.float32)
    both = render_heatmap(cam, 2, 2), render_heatmap(-cam, 2, 2)
    assert [x.tolist() for x in both] == [[[255, 1], [1, 128]], [[1, 128], [1, 1]]]
    assert signed_pixels(*both).tolist() == [[255, 64], [128, 192]]
    shared = render_heatmap(cam, 2, 2, peak=2.0), render_heatmap(-cam, 2, 2, peak=2.0)
    assert shared[0].tolist() == [[128, 1], [1, 64]]
    assert signed_pixels(*shared).tolist() == [[192, 96], [128, 160]]
    unseen = np.array([[0, 255]], np.uint8), np.array([[0, 1]], np.uint8)
    assert signed_pixels(*unseen).tolist() == [[0, 255]]
    assert peak_of(-cam) == 1.0


def test_interpolation_is_an_option():
    cam = np.zeros((4, 4), np.float32)
    cam[1, 2] = 1
    nearest = render_heatmap(cam, 64, 64, interpolation="nearest")
    assert set(np.unique(nearest)) == {1, 255}
    assert (nearest[16:32, 32:48] == 255).all()
    smooth = render_heatmap(cam, 64, 64, interpolation="bilinear")
    # Half a pixel from the centre of the cell, of 16 pixels: (31/32)^2 of the peak.
    assert smooth[24, 40] == round(1 + 254 * (31 / 32) ** 2)
    for wrong in (
        {"interpolation": "lanczos"},
        {"scale": "class"},
        {"storage": "cloud"},
        {"resolution": 4},
        {"method": "cam"},
        {"signed": 1},
    ):
        name = next(iter(wrong))
        with pytest.raises(ValueError, match=f"{name}.*{wrong[name]}"):
            HeatmapOptions(**wrong)


def bright_spot_detector() -> SmallCNN:
    """A network whose only evidence for class 1 is brightness: nothing is learnt here."""
    model = SmallCNN(2, widths=(4, 4, 4)).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.zeros_(module.weight)
            module.weight.data[0, : 3 if module.in_channels == 3 else 1, 1, 1] = 1.0
    model.classifier[1].weight.data.zero_()
    model.classifier[1].weight.data[1, 0] = 1.0
    return model


@pytest.mark.parametrize("resize", ["squash", "crop", "letterbox"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_planted_object_is_hit(tmp_path, resize, orientation):
    """From an oblong file, rotated by its EXIF tag, to the heatmap in its upright frame."""
    width, height, x, y = 240, 120, 150, 40  # of the upright image
    upright = Image.new("RGB", (width, height), "black")
    ImageDraw.Draw(upright).rectangle((x - 8, y - 8, x + 8, y + 8), fill="white")
    turns = {1: 0, 3: 180, 6: 90, 8: 270}  # counter-clockwise from upright to how it is stored
    stored = upright.rotate(turns[orientation], expand=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    stored.save(path, exif=exif, quality=95)
    (batch,) = Images([str(path)], 128, resize=resize).batches(1)
    assert batch.frames.tolist() == [[width, height]]
    backbone = get_backbone("small_cnn")
    found = explain(
        bright_spot_detector(), backbone, backbone.normalize(batch.images), [torch.tensor([1])]
    )
    box = seen_box(resize, width, height)
    cam = found.maps[0][0].numpy()
    pixels = render_heatmap(cam, width, height, box, resolution=width)
    assert pixels.shape == (height, width)
    rows, columns = np.nonzero(pixels >= 230)
    assert (columns.mean(), rows.mean()) == pytest.approx((x, y), abs=5)
    assert pixels[y, x] >= 230
    assert (max(abs(columns - x)) <= 16, max(abs(rows - y)) <= 16) == (True, True)
    assert measure(cam, box).centroid == pytest.approx((x / width, y / height), abs=0.06)


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (1, 7), (168, 224)])
def test_a_stored_picture_is_read_back_pixel_by_pixel(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    save_heatmap(pixels, str(tmp_path / "map.png"))
    with Image.open(tmp_path / "map.png") as image:
        assert (image.format, image.mode) == ("PNG", "L")
        image.verify()
    assert np.array_equal(np.asarray(Image.open(tmp_path / "map.png")), pixels)
    assert [file.name for file in tmp_path.iterdir()] == ["map.png"]
