"""From images to squares and back: boxes and pixels, by hand."""

import numpy as np
import pytest
from PIL import Image

from fiftyone_gradcam.images.geometry import (
    PAD_COLOR,
    WHOLE,
    check_resize,
    letterbox_size,
    placed,
    seen_box,
    source_of,
    to_frame,
    to_square,
)


def test_what_a_model_sees_of_an_image():
    assert seen_box("squash", 200, 100) == WHOLE == (0, 0, 1, 1)
    # The crop is a square of 87.5 x 87.5 pixels, the letterbox one of 200 x 200.
    assert seen_box("crop", 200, 100) == (0.28125, 0.0625, 0.71875, 0.9375)
    assert seen_box("crop", 100, 200) == (0.0625, 0.28125, 0.9375, 0.71875)
    assert seen_box("letterbox", 200, 100) == (0.0, -0.5, 1.0, 1.5)
    assert seen_box("letterbox", 100, 200) == (-0.5, 0.0, 1.5, 1.0)
    with pytest.raises(
        ValueError, match="^resize must be one of squash, crop, letterbox, not 'fit'$"
    ):
        seen_box("fit", 1, 1)
    with pytest.raises(ValueError, match="^resize must be one of auto, crop, not 'squash'$"):
        check_resize("squash", ("auto", "crop"))
    assert letterbox_size(200, 100, 32) == (32, 16)
    assert letterbox_size(100, 200, 32) == (16, 32)
    assert letterbox_size(1000, 1, 32) == (32, 1)  # at least one pixel
    assert letterbox_size(1, 1000, 32) == (1, 32)


def test_squares_are_padded_around_the_middle():
    image = Image.new("RGB", (8, 2), (10, 20, 30))
    square = to_square(image, 8, "letterbox")
    assert (square[3:5] == (10, 20, 30)).all()
    assert (square[:3] == PAD_COLOR).all()
    assert (square[5:] == PAD_COLOR).all()
    high = to_square(image.transpose(Image.Transpose.TRANSPOSE), 8, "letterbox")
    np.testing.assert_array_equal(high, square.swapaxes(0, 1))
    own = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    np.testing.assert_array_equal(to_square(own, 4), np.asarray(own))  # nothing to resize
    # Of 16 x 8 pixels, a crop is the middle square of 7 pixels.
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 8:] = 200
    assert (
        to_square(Image.fromarray(wide), 7, "crop")[3, :, 0].tolist() == [0, 0, 0, 100] + [200] * 3
    )


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (WHOLE, (0, 0, 10, 4)),
        ((0.25, 0.25, 0.75, 0.75), (3, 1, 7, 3)),  # pixels that are wholly inside
        ((-0.5, 0, 1.5, 1), (0, 0, 10, 4)),  # not outside of the frame
        ((0.2, 0.5, 0.8, 1), (2, 2, 8, 4)),
        ((0.41, 0.3, 0.45, 0.4), (5, 2, 6, 3)),  # at least one pixel
        ((0.95, 0.9, 1, 1), (9, 3, 10, 4)),
    ],
)
def test_pixels_inside_a_box(box, expected):
    assert placed(box, 10, 4) == expected


def test_cells_below_pixels():
    assert source_of((5, 2), (10, 4), WHOLE) == (0, 0, 5, 2)
    # The box is 5 x 2 pixels from (2.5, 1) on; pixels 3 to 6 and 1 to 2 are inside.
    found = source_of((10, 4), (10, 4), (0.25, 0.25, 0.75, 0.75))
    assert found == pytest.approx((1, 0, 9, 4))
    assert source_of((2, 2), (10, 4), (-0.5, 0, 1.5, 1)) == pytest.approx((0.5, 0, 1.5, 2))


def test_a_map_returns_to_its_place():
    cam = np.array([[1.0, 2.0], [3.0, 4.0]])
    frame = to_frame(cam, 4, 4, interpolation="nearest")
    assert frame[0].tolist() == [1, 1, 2, 2]
    assert frame[3].tolist() == [3, 3, 4, 4]
    frame = to_frame(cam, 8, 4, (0.25, 0, 0.75, 1), "nearest")
    assert frame.dtype == np.float32
    assert frame[0].tolist() == [0, 0, 1, 1, 2, 2, 0, 0]
    assert frame[3].tolist() == [0, 0, 3, 3, 4, 4, 0, 0]
    frame = to_frame(cam, 4, 8, (0, 0.25, 1, 0.75), "nearest")
    assert frame[:, 0].tolist() == [0, 0, 1, 1, 3, 3, 0, 0]
