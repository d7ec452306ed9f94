"""Pictures for people, pixel by pixel: blends, rows, sheets and captions."""

import numpy as np
import pytest
from PIL import Image

from fiftyone_gradcam.explain.overlay import (
    BACKGROUND,
    FONT_SIZE,
    _cut,
    _font,
    check_alpha,
    color_heatmap,
    colors_of,
    fit,
    overlay,
    row,
    sheet,
    triptych,
)

RED, BLUE = (255, 0, 0), (0, 0, 255)
JET = colors_of("jet")


def filled(width: int, height: int, color: tuple = RED) -> Image.Image:
    return Image.new("RGB", (width, height), color)


def boxes(picture: Image.Image) -> dict[tuple, tuple]:
    """For each plain color of a picture, the box (left, top, right, bottom) around it."""
    pixels = np.asarray(picture).astype(int)
    found = {}
    for color in (RED, BLUE):
        ys, xs = np.nonzero((pixels == color).all(2))
        if len(ys):
            sides = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            found[color] = tuple(int(side) for side in sides)
    return found


def ink(picture: Image.Image) -> tuple:
    """The box around what is dark."""
    dark = np.asarray(picture.convert("L")) < 60
    ys, xs = np.nonzero(dark & ~(np.asarray(picture)[..., 0] == 255))
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_a_heatmap_is_blended_by_its_opacity_except_where_it_is_zero(alpha):
    pixels = np.array([[0, 1, 100, 255]], np.uint8)
    shown = np.asarray(overlay(filled(4, 1, (100, 150, 200)), pixels, "jet", alpha))[0]
    expected = [
        [100, 150, 200],
        *((1 - alpha) * np.array([100, 150, 200]) + alpha * JET[i] for i in (1, 100, 255)),
    ]
    np.testing.assert_allclose(shown, expected, atol=1)
    half = overlay(filled(4, 1), pixels)
    np.testing.assert_array_equal(half, overlay(filled(4, 1), pixels, "jet", 0.5, False))


def test_a_signed_heatmap_is_opaque_from_half_of_its_peak_on():
    pixels = np.array([[64, 96, 127, 128, 160, 191, 192, 255]], np.uint8)
    white = (255, 255, 255)
    shown = np.asarray(overlay(filled(8, 1, white), pixels, "jet", 1.0, signed=True))[0].astype(int)
    opacity = np.array([64, 32, 1, 0, 32, 63, 64, 64])[:, None] / 64
    np.testing.assert_allclose(shown, 255 * (1 - opacity) + JET[pixels[0]] * opacity, atol=2)
    assert shown[0].tolist() == JET[64].tolist()
    assert shown[6].tolist() == JET[192].tolist()


def test_where_nothing_was_seen_a_heatmap_is_black():
    colored = np.asarray(color_heatmap(np.array([[0, 1, 255]], np.uint8)))
    assert colored.tolist() == [[[0, 0, 0], JET[1].tolist(), JET[255].tolist()]]


def test_sizes_that_pictures_are_fitted_to():
    assert fit(filled(40, 20), height=10).size == (20, 10)
    assert fit(filled(40, 20), box=10).size == (10, 5)
    assert fit(filled(20, 40), box=80).size == (40, 80)
    assert fit(filled(1000, 2), box=10).size == (10, 1)  # no side vanishes


def test_pictures_in_a_row_have_a_margin_between_them_and_a_caption_below():
    plain = row([filled(10, 20), filled(5, 12, BLUE)])
    assert plain.size == (10 + 8 + 5, 20)
    assert boxes(plain) == {RED: (0, 0, 10, 20), BLUE: (18, 0, 23, 12)}
    assert plain.getpixel((20, 15)) == BACKGROUND
    said = row([filled(100, 20)], "one\ntwo")
    assert said.size == (100, 20 + 2 * (FONT_SIZE + 4) + 4)
    left, top, _, bottom = ink(said)
    assert (left >= 2, 22 <= top < 30, 40 <= bottom <= 20 + 2 * 18 + 4) == (True,) * 3


def test_image_heatmap_and_both_stand_side_by_side():
    pixels = np.full((4, 8), 255, np.uint8)
    made = np.asarray(triptych(filled(80, 40), pixels, "", height=20, alpha=1.0))
    assert made.shape == (20, 3 * 40 + 2 * 8, 3)
    assert [made[10, x].tolist() for x in (20, 44, 68, 92, 116)] == [
        list(RED), list(BACKGROUND), JET[255].tolist(), list(BACKGROUND), JET[255].tolist(),
    ]  # fmt: skip
    assert triptych(filled(80, 40), pixels, "").size == (3 * 640 + 16, 320)
    zeros = pixels // 255 * 128
    plain = np.asarray(triptych(filled(8, 4), zeros, "", "jet", 1.0, 4))
    assert plain[2, -4].tolist() == JET[128].tolist()
    signed = np.asarray(triptych(filled(8, 4), pixels // 255 * 128, "", "jet", 1.0, 4, signed=True))
    assert signed[2, -4].tolist() == list(RED)  # 128 is zero, and transparent


@pytest.mark.parametrize(
    ("count", "columns", "size"),
    [
        (5, 3, (3 * 28 + 8, 2 * 50 + 8)),
        (6, 3, (3 * 28 + 8, 2 * 50 + 8)),
        (2, 3, (2 * 28 + 8, 50 + 8)),
        (1, 0, (28 + 8, 50 + 8)),
    ],
)
def test_a_sheet_has_a_square_cell_for_each_picture(count, columns, size):
    pictures = [filled(20, 10, BLUE if i == count - 1 else RED) for i in range(count)]
    made = sheet(pictures, ["a"] * count, columns, cell=20)
    assert made.size == size  # cells of 20, captions of 22 and margins of 8 pixels
    across, down = (count - 1) % max(columns, 1), (count - 1) // max(columns, 1)
    left, top = 8 + across * 28, 8 + down * 50 + 10  # at the bottom of its cell
    assert boxes(made)[BLUE] == (left, top, left + 20, top + 10)


def test_captions_stay_in_their_cells():
    for width in range(60, 75):  # whichever letter is the last one
        _, _, right, _ = ink(row([filled(width, 4)], "i" * 50))
        assert right <= width - 2


def test_a_sheet_has_six_columns_of_200_pixels():
    made = sheet([filled(20, 10)] * 7, [""] * 7)
    assert made.size == (6 * 208 + 8, 2 * 208 + 8)


def test_an_upright_picture_is_in_the_middle_of_its_cell():
    assert boxes(sheet([filled(10, 20)], [""], cell=40)) == {RED: (18, 8, 38, 48)}


def test_captions_are_cut_to_their_width():
    line = "a label that is too long"
    width = _font().getlength(line)
    assert _cut(line, width) == line
    for narrower in (width - 1, width / 2, 30):
        found = _cut(line, narrower)
        kept = found[:-1]
        assert found == line[: len(kept)] + "…"
        assert _font().getlength(found) <= narrower  # as much as there is room for
        assert _font().getlength(line[: len(kept) + 1] + "…") > narrower
    assert _cut(line, 0) == "…"
    assert _cut("é ü", 100) == "e u"


@pytest.mark.parametrize("alpha", [-0.1, 1.01, True, "1", None])
def test_opacities_are_shares(alpha):
    for right in (0, 1, 0.5):
        check_alpha(right)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\]"):
        check_alpha(alpha)
