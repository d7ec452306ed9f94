"""Geometry: from an image to the square that a model sees, and back to the image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

# The part of an image that a model sees, relative to the upright image: (left, top, right, bottom),
# from the left and from the top. A letterbox is larger than the image.
Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

RESIZES = ("squash", "crop", "letterbox")
CROP_SHARE = 224 / 256  # share of the shorter side, as in the classic preset of ImageNet networks
PAD_COLOR = (124, 116, 104)  # the mean of ImageNet, which is zero after normalization
INTERPOLATIONS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
}


def check_resize(resize: str, known: Sequence[str] = RESIZES) -> None:
    """Check the name of a resize method.

    Args:
        resize: the name
        known: valid names

    Raises:
        ValueError: if the name is unknown; the message lists the valid names
    """
    if resize not in known:
        raise ValueError(f"resize must be one of {', '.join(known)}, not {resize!r}")


def seen_box(resize: str, width: int, height: int) -> Box:
    """Return the part of an image that a model sees.

    Args:
        resize: "squash" (the whole image, without keeping its aspect ratio), "crop" (the central
            square, 7/8 of the shorter side) or "letterbox" (the whole image, with padding)
        width, height: of the upright image, in pixels
    """
    check_resize(resize)
    if resize == "squash":
        return WHOLE
    side = CROP_SHARE * min(width, height) if resize == "crop" else max(width, height)
    across, down = side / width, side / height
    return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2


def smallest_side(resize: str, size: int) -> int:
    """Return how many pixels a side of a decoded image needs at least, to avoid upscaling it."""
    return math.ceil(size / CROP_SHARE) if resize == "crop" else size


def to_square(image: Image.Image, size: int, resize: str = "squash") -> np.ndarray:
    """Resize an image to size x size pixels, antialiased bilinear as in torchvision's presets.

    Args:
        image: upright RGB image
        size: side of the square, in pixels
        resize: see `seen_box`

    Returns:
        uint8 array (size, size, 3)
    """
    if resize == "squash":
        return np.asarray(_resized(image, (size, size)))
    width, height = image.size
    left, top, right, bottom = seen_box(resize, width, height)
    if resize == "crop":
        box = (left * width, top * height, right * width, bottom * height)
        return np.asarray(_resized(image, (size, size), box))
    inner = letterbox_size(width, height, size)
    canvas = Image.new("RGB", (size, size), PAD_COLOR)
    canvas.paste(_resized(image, inner), ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return np.asarray(canvas)


def letterbox_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Return the width and height of a letterboxed image without its padding, in pixels."""
    longest = max(width, height)
    return max(1, round(size * width / longest)), max(1, round(size * height / longest))


def _resized(image: Image.Image, size: tuple[int, int], box=None) -> Image.Image:
    if image.size == size and box is None:
        return image
    return image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)


def placed(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the whole pixels of a frame that are inside a box: left, top, right, bottom."""
    spans = ((box[0] * width, box[2] * width, width), (box[1] * height, box[3] * height, height))
    starts = [min(max(0, math.ceil(low - 1e-6)), side - 1) for low, _, side in spans]
    ends = [
        max(start + 1, min(side, math.floor(high + 1e-6)))
        for start, (_, high, side) in zip(starts, spans, strict=True)
    ]
    return starts[0], starts[1], ends[0], ends[1]


def source_of(
    grid: tuple[int, int], size: tuple[int, int], box: Box
) -> tuple[float, float, float, float]:
    """Return the cells of a map below the pixels of `placed`: left, top, right, bottom.

    Args:
        grid: (w, h) cells of the map
        size: (width, height) of the frame in pixels
        box: the part of the frame that the model saw
    """
    left, top, right, bottom = placed(box, *size)
    per_x = grid[0] / ((box[2] - box[0]) * size[0])
    per_y = grid[1] / ((box[3] - box[1]) * size[1])
    return (
        max(0.0, (left - box[0] * size[0]) * per_x),
        max(0.0, (top - box[1] * size[1]) * per_y),
        min(grid[0], (right - box[0] * size[0]) * per_x),
        min(grid[1], (bottom - box[1] * size[1]) * per_y),
    )


def to_frame(
    cam: np.ndarray,
    width: int,
    height: int,
    box: Box = WHOLE,
    interpolation: str = "bicubic",
) -> np.ndarray:
    """Resize a map of what a model saw to its place in the image; zero outside.

    Args:
        cam: float array (h, w), the map on the model's grid, in any range
        width, height: of the frame of the image, in pixels; cell centers are aligned with pixel
            centers
        box: what the model saw (see `seen_box`)
        interpolation: "bicubic", "bilinear" or "nearest"

    Returns:
        float32 array (height, width); bicubic interpolation may exceed the range of `cam`
    """
    grid = Image.fromarray(np.ascontiguousarray(cam, dtype=np.float32))
    filter = INTERPOLATIONS[interpolation]
    if box == WHOLE:
        return np.asarray(grid.resize((width, height), filter))
    left, top, right, bottom = placed(box, width, height)
    source = source_of((cam.shape[1], cam.shape[0]), (width, height), box)
    frame = np.zeros((height, width), np.float32)
    part = grid.resize((right - left, bottom - top), filter, box=source)
    frame[top:bottom, left:right] = np.asarray(part)
    return frame
