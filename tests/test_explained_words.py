"""What is said of one image at the limits of each sentence, and pictures of its maps."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from fiftyone_gradcam.explain.drawing import Frames, draw
from fiftyone_gradcam.explain.explanation import ClassMap, ContrastMap, Explanation
from fiftyone_gradcam.explain.measures import Measures, measure
from fiftyone_gradcam.explain.overlay import _cut, _font, check_alpha, fit, overlay, row, sheet
from fiftyone_gradcam.explain.road import imputed
from fiftyone_gradcam.explain.sentences import (
    heatmap_words,
    neighbor_words,
    prediction_words,
    seen_words,
    split_words,
)
from fiftyone_gradcam.images.geometry import WHOLE


@pytest.mark.parametrize(
    ("high", "low", "words"),
    [
        (0.199, 0.0, "The decision between 'ant' and 'bee' was close: 'bee' gets 0.0%."),
        (0.2, 0.0, "It is fairly confident that this is 'ant' rather than 'bee': 'bee' gets 0.0%."),
        (0.6, 0.0, "It is fairly confident that this is 'ant' rather than 'bee': 'bee' gets 0.0%."),
        (0.7, 0.05, "It is confident that this is 'ant' rather than 'bee': 'bee' gets 5.0%."),
    ],
)
def test_a_margin_is_close_below_a_fifth_and_confident_above_three(high, low, words):
    found = prediction_words([("ant", high), ("bee", low), ("cow", 0.0)], None, None, "truth")
    assert found[1:] == [words]


def test_an_even_map_is_neither_concentrated_nor_at_the_border():
    for focus, border, where, count in ((0.3, 0.5, "concentrated", 1), (0.29, 0.51, "spread", 2)):
        found = heatmap_words("ant", Measures(focus, (0.5, 0.5), border))
        assert (where in found[0], len(found)) == (True, count)


def test_labels_of_neighbors_and_splits():
    assert neighbor_words([None, None], "images", "ant") == []
    assert neighbor_words(["ant", "ant", "bee"], "images", "ant") == [
        "Labels of the 3 most similar images: 2 'ant', 1 'bee'."
    ]
    assert split_words(["test", "val"]) == split_words(["val"])
    assert split_words(["test"])[0].startswith("This image is in the split 'test'")


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((0, 0, 1, 0.996), None),
        ((0, 0.01, 1, 1), "99%"),
        ((-1, -1, 0.5, 0.5), "25%"),
        ((0.5, 0.25, 2, 2), "38%"),
    ],
)
def test_the_share_that_the_network_saw(box, share):
    words = f"The network saw the outlined {share} of the image. The rest had no influence."
    assert seen_words(box) == ([words] if share else [])


def explanation(**changes) -> Explanation:
    """Of an image of 40 x 20 pixels, of which the network saw the left half."""
    maps = [
        ClassMap(label, p, 0.0, np.full((2, 2), peak, np.float32), None)
        for label, p, peak in (("ant", 0.5, 4.0), ("bee", 0.3, 2.0))
    ]
    values = {
        "sample_id": "1", "filepath": "/a", "width": 40, "height": 20, "box": (0, 0, 0.5, 1),
        "run": "r", "method": "gradcam", "layer": "l", "classes": ("bee", "cow", "ant", "fly"),
        "probabilities": np.array([0.25, 0.25, 0.5, 0.0], np.float32), "predicted": "ant",
        "label": "bee", "label_field": "truth", "maps": tuple(maps), "contrast": None,
        "neighbors": (), "neighbors_are": "", "words": (), "notes": (),
    }  # fmt: skip
    return Explanation(**values | changes)


def test_maps_of_one_image_have_one_scale_and_are_named():
    found = explanation()
    assert found.peak == 4.0
    assert found.top() == [("ant", 0.5), ("bee", 0.25), ("cow", 0.25), ("fly", 0.0)]
    assert found.top(2) == [("ant", 0.5), ("bee", 0.25)]
    assert found.map_of("bee").words == (
        "There is no evidence for 'bee' in this image: its heatmap is empty.",
    )
    for label, value in (("ant", 255), ("bee", 128)):
        pixels = found.picture(label, 40)
        assert pixels.shape == (20, 40)
        assert np.unique(pixels[:, :20]).tolist() == [value]
        assert (pixels[:, 20:] == 0).all()  # not seen
    with pytest.raises(ValueError, match=re.escape("There is no map of 'cow', only of: ant, bee")):
        found.picture("cow")
    with pytest.raises(ValueError, match="^There is no contrast: the network has one class$"):
        found.contrast_pictures()
    for value, ends in ((3.0, (255, 1)), (-1.5, (1, 255))):  # on a scale of its own
        cam = np.full((2, 2), value, np.float32)
        both = explanation(contrast=ContrastMap("ant", "bee", cam, "difference"))
        pixels = both.contrast_pictures(40)
        assert tuple(int(x[0, 0]) for x in pixels) == ends
        assert tuple(int(x[0, 39]) for x in pixels) == (0, 0)


def test_a_map_that_is_nowhere_positive_has_no_place():
    assert measure(np.zeros((3, 3))) is None
    assert measure(np.full((3, 3), -1.0)) is None
    for value in (1e-20, 1e20):
        spot = np.zeros((3, 3), np.float32)
        spot[0, 2] = value
        found = measure(spot)
        assert (found.centroid[0] > 0.8, found.centroid[1] < 0.2) == (True, True)
    corner = np.zeros((30, 30))
    corner[-1, 0] = 1.0
    assert measure(corner).border == pytest.approx(1, abs=0.01)
    even = measure(np.ones((5, 5)))
    assert (even.focus, even.border) == pytest.approx((0.1, 0.36))
    assert even.centroid == pytest.approx((0.5, 0.5))


def test_a_map_whose_peak_is_0_is_drawn_as_0():
    frames = Frames((2, 2), [(4, 4)] * 2, [WHOLE] * 2, "nearest", torch.device("cpu"))
    maps = torch.ones(2, 2, 2)
    found = draw(maps, frames, torch.tensor([0.0, 2.0]))
    assert found[:, 0, 0].tolist() == [0, 128]
    assert draw(0 * maps, frames, torch.ones(2)).max() == 0


def test_without_removed_pixels_the_image_is_as_it_was():
    image = np.random.default_rng(0).random((3, 4, 5), np.float32)
    assert (imputed(image, np.zeros((4, 5), bool)) == image).all()


@pytest.mark.parametrize("alpha", [True, -0.01, 1.01, "1", None])
def test_an_opacity_is_a_number_from_0_to_1(alpha):
    for fine in (0, 1, 0.5):
        check_alpha(fine)
    with pytest.raises(ValueError, match=re.escape(f"alpha must lie in [0, 1], not {alpha!r}")):
        check_alpha(alpha)


def test_a_signed_map_is_clear_at_zero_and_opaque_from_half_of_its_peak():
    image = Image.new("RGB", (5, 1), (10, 20, 30))
    pixels = np.array([[128, 192, 160, 64, 0]], np.uint8)
    plain = Image.new("RGB", (5, 1))
    found = np.asarray(overlay(image, pixels, "gray", 1.0, signed=True))[0].astype(int)
    assert found[0].tolist() == found[4].tolist() == [10, 20, 30]
    assert found[1].tolist() == [192] * 3
    assert found[3].tolist() == [64] * 3
    assert found[2] == pytest.approx((np.array([10, 20, 30]) + 160) / 2, abs=1)
    assert np.asarray(overlay(plain, pixels, "gray"))[0, :, 0] == pytest.approx(
        pixels[0] / 2, abs=1
    )


def test_pictures_are_placed_in_rows_and_cells():
    wide, small = Image.new("RGB", (40, 20), "red"), Image.new("RGB", (8, 16), "blue")
    assert fit(wide, height=10).size == (20, 10)
    assert fit(wide, box=10).size == (10, 5)
    assert fit(Image.new("RGB", (300, 1)), box=10).size == (10, 1)
    found = np.asarray(row([wide, small]))
    assert found.shape == (20, 56, 3)
    assert (found[:20, :40] == (255, 0, 0)).all()
    assert (found[:, 40:48] == 255).all()
    assert (found[:16, 48:] == (0, 0, 255)).all()
    assert (found[16:, 48:] == 255).all()
    assert row([wide], "a").size == (40, 20 + 22)
    assert row([wide], "a\nb").size == (40, 20 + 40)
    for count, columns, size in ((1, 6, (36, 36)), (5, 2, (64, 92)), (2, 6, (64, 36))):
        cells = sheet([small] * count, [""] * count, columns, 20)
        assert (cells.size, cells.mode) == (size, "RGB")
    # In the middle of its cell, at its lower edge.
    pixels = np.asarray(sheet([wide], [""], cell=20))
    blue = np.argwhere((pixels == (255, 0, 0)).all(2))
    assert (blue.min(0).tolist(), blue.max(0).tolist()) == ([18, 8], [27, 27])
    clear = sheet([wide, small], ["", "a"], cell=20, clear=True)
    assert (clear.mode, clear.size) == ("RGBA", (64, 36 + 22))
    assert clear.getpixel((0, 0)) == (0, 0, 0, 0)
    assert max(clear.getcolors())[1] == (0, 0, 0, 0)
    text = np.asarray(clear)[36:, 36:]
    assert text[text[..., 3] == 255][:, :3].min() == 118  # legible on dark and on light
    plain = np.asarray(sheet([small], ["m"], cell=20))[28:]
    assert plain.min() < 60
    assert sheet([], []).size == (216, 8)


def test_a_line_that_is_too_long_ends_with_dots():
    width = _font().getlength("abc…")
    assert _cut("abcd", _font().getlength("abcd")) == "abcd"
    assert _cut("abcdef", width) == "abc…"
    assert _cut("abcdef", width - 0.1) == "ab…"
    assert _cut("abcdef", 0) == "…"
    assert _cut("\u00e9t\u00e9", 100) == "ete"
