"""Appearance of files: what is counted, and which file is a mask of which."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_trees import mask, photo, soft_mask
from PIL import Image

from fiftyone_gradcam.folders.appearance import (
    Look,
    _is_same_picture,
    is_like_mask,
    is_mask,
    is_mask_of,
    is_photo,
    look,
)


def seen(path: Path, pixels: np.ndarray) -> Look:
    """The appearance of (h, w) or (h, w, 3) uint8 pixels."""
    Image.fromarray(pixels).save(path)
    return look(str(path))


@pytest.mark.parametrize(
    ("odd", "color", "is_gray", "is_black_and_white"),
    [
        (2, (0, 13, 0), True, True),  # 98% are gray
        (3, (0, 13, 0), False, False),
        (100, (0, 12, 0), True, True),  # channels may differ by 12
        (5, (41, 41, 41), True, True),  # 95% are black or white
        (6, (41, 41, 41), True, False),
        (6, (40, 40, 40), True, True),
        (6, (214, 214, 214), True, False),
        (6, (215, 215, 215), True, True),
    ],
)
def test_gray_and_black_pixels_are_counted(tmp_path, odd, color, is_gray, is_black_and_white):
    pixels = np.zeros((100, 3), np.uint8)
    pixels[:odd] = color
    found = seen(tmp_path / "x.png", pixels.reshape(10, 10, 3))
    assert (found.is_gray, found.is_black_and_white) == (is_gray, is_black_and_white)
    assert found.is_one_channel is False


@pytest.mark.parametrize(
    ("side", "counts", "num_colors", "has_few"),
    [
        (10, [99, 1], 1, True),  # one color is 99%
        (10, [98, 2], 2, True),
        (10, [10] * 4 + [8] * 6 + [6] * 2, 12, True),  # an eighth of the pixels
        (10, [8] * 12 + [4], 13, False),
        (4, [8, 8], 2, True),
        (4, [8, 4, 4], 3, False),
        (40, [50] * 32, 32, True),
        (40, [50] * 30 + [40, 40, 20], 33, False),
    ],
)
def test_colors_are_counted(tmp_path, side, counts, num_colors, has_few):
    levels = np.repeat(np.arange(len(counts), dtype=np.uint8) * 7, counts).reshape(side, side)
    found = seen(tmp_path / "x.png", levels)
    assert (found.num_colors, found.has_few_colors) == (num_colors, has_few)
    assert found.is_one_channel
    # The same levels in the blue channel alone are as many colors.
    colored = np.stack([levels * 0, levels * 0, levels], 2)
    assert seen(tmp_path / "y.png", colored).num_colors == num_colors


@pytest.mark.parametrize(("side", "is_seen"), [(511, True), (512, False)])
def test_pixels_of_large_images_are_skipped(tmp_path, side, is_seen):
    pixels = np.zeros((8, side, 3), np.uint8)
    pixels[:, 1::2, 0] = 255
    wide, high = seen(tmp_path / "x.png", pixels), seen(tmp_path / "y.png", pixels.swapaxes(0, 1))
    assert [one.num_colors for one in (wide, high)] == ([2, 2] if is_seen else [1, 1])
    assert [one.is_gray for one in (wide, high)] == ([False] * 2 if is_seen else [True] * 2)


SLOPE = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))
OTHER = SLOPE.T.copy()  # its correlation with the slope is zero
PHOTO = Look(False, False, False, False, 900, SLOPE)
MASK = Look(True, True, True, True, 2, OTHER)
GRAY_PHOTO = replace(PHOTO, is_gray=True, is_one_channel=True)
SOFT = replace(GRAY_PHOTO, brightness=OTHER)
NIGHT = replace(PHOTO, is_gray=True, is_black_and_white=True)
DRAWING = replace(PHOTO, has_few_colors=True, num_colors=7)


@pytest.mark.parametrize(
    ("mask", "image", "expected"),
    [
        (MASK, PHOTO, True),
        (replace(MASK, is_black_and_white=False), PHOTO, True),
        (replace(MASK, has_few_colors=False), PHOTO, True),
        (replace(MASK, is_one_channel=False), GRAY_PHOTO, True),
        (replace(MASK, brightness=SLOPE), PHOTO, False),  # the same picture
        (SOFT, PHOTO, True),
        (SOFT, GRAY_PHOTO, False),  # two photos
        (replace(SOFT, is_one_channel=False), PHOTO, False),
        (MASK, NIGHT, True),
        (replace(MASK, is_black_and_white=False), NIGHT, True),
        (replace(NIGHT, brightness=OTHER), NIGHT, None),
        (MASK, DRAWING, True),
        (replace(MASK, is_black_and_white=False), DRAWING, None),
        (SOFT, DRAWING, False),
        (MASK, replace(DRAWING, is_gray=True), None),  # 7 colors are fewer than four times 2
        (MASK, replace(DRAWING, is_gray=True, num_colors=8), True),
    ],
)
def test_which_file_is_a_mask_of_which(mask, image, expected):
    assert is_mask_of(mask, image) is expected


@pytest.mark.parametrize(
    ("one", "other", "same", "same_if_few"),
    [
        (SLOPE * 0 + 20, SLOPE * 0 + 29, True, True),
        (SLOPE * 0 + 20, SLOPE * 0 + 30, False, False),
        (SLOPE * 0, SLOPE, False, False),  # an empty mask
        (SLOPE, SLOPE // 2, True, False),  # other tones
        (SLOPE, 255 - SLOPE, True, False),
        (SLOPE, SLOPE // 16 * 16, True, True),
        (SLOPE, OTHER, False, False),
        (SLOPE // 16 + 90, OTHER // 16 + 90, True, False),  # nearly equal, of another shape
    ],
)
def test_one_picture_in_two_formats(one, other, same, same_if_few):
    for a, b in ((one, other), (other, one)):
        photos = [replace(PHOTO, brightness=x) for x in (a, b)]
        assert _is_same_picture(*photos) == same
        assert _is_same_picture(replace(photos[0], has_few_colors=True), photos[1]) == same_if_few
        assert _is_same_picture(photos[0], replace(photos[1], has_few_colors=True)) == same_if_few


def test_a_file_called_a_mask_is_one_unless_it_looks_like_a_photo(tmp_path):
    paths = {name: str(tmp_path / name) for name in ("color.png", "soft.png", "mask.png", "no.png")}
    photo(tmp_path / "color.png")
    soft_mask(tmp_path / "soft.png")
    mask(tmp_path / "mask.png")
    color, soft, own, gone = paths.values()
    called = [(own, color), (soft, color), (gone, color), (soft, own), (soft, gone), (color, own)]
    assert [is_mask(*pair, by_name=True) for pair in called] == [True] * 3 + [False] * 3
    others = [(own, color), (gone, color), (own, gone)]
    assert [is_mask(*pair) for pair in others] == [True, None, None]
    assert [is_like_mask(path) for path in paths.values()] == [False, False, True, False]
    assert [is_photo(path) for path in paths.values()] == [True, True, False, False]
