"""Decoding of image files to upright 8-bit RGB, the same for training, prediction and pictures."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from .formats import HEIF, can_read_heif, known_kind
from .opening import (
    CORRUPT,
    DEFAULT,
    NOT_AN_IMAGE,
    TRUNCATED,
    DecodeOptions,
    ImageError,
    ended,
    opened,
)
from .png import EssentialChunks

BACKGROUND = (255, 255, 255)
ORIENTATION = 0x0112  # EXIF tag
DARK = 17  # of 255; 12-bit values in a 16-bit image are below this
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Decoded:
    """A decoded upright RGB image, and facts about its file: width, height, channels, format.

    `is_dark` is True for a 16-bit image that uses so few of its bits that it is nearly black.
    """

    image: Image.Image
    width: int
    height: int
    num_channels: int
    format: str
    is_truncated: bool = False
    is_dark: bool = False


def decode(path: str, at_least: int | None = None, options: DecodeOptions = DEFAULT) -> Decoded:
    """Decode an image file to upright 8-bit RGB.

    EXIF orientation is applied, as in browsers; 16-bit and float images are scaled to 8 bits
    without saturation; transparency is composited on white; the first frame of an animation is
    used. Color profiles and gamma are ignored, and damaged ancillary chunks of PNG files are
    skipped. Every byte is read, so that truncated files are always detected. Pillow's global
    settings are not changed, because they affect all threads.

    Args:
        path: an image file
        at_least: allow JPEG files to be decoded at a reduced scale (1/2, 1/4, 1/8) as long as
            both sides have at least this many pixels; None decodes at full size
        options: which unusual files are decoded

    Raises:
        ImageError: if the file is missing, empty, not an image, truncated, corrupt or too large
    """
    try:
        with opened(path, options) as image:
            return _decoded(image, at_least)
    except ImageError as error:
        return _decoded_otherwise(path, at_least, options, error)


def _decoded_otherwise(
    path: str, at_least: int | None, options: DecodeOptions, error: ImageError
) -> Decoded:
    """Decode a file that cannot be decoded directly.

    Raises:
        ImageError: `error`, or a later one that is more specific
    """
    if error.reason == NOT_AN_IMAGE and known_kind(path) == HEIF and can_read_heif():
        with opened(path, options) as image:
            return _decoded(image, at_least)
    essential = None
    if error.reason in (NOT_AN_IMAGE, TRUNCATED, CORRUPT):
        essential = _essential(path)
    if essential is not None:
        try:
            with essential, opened(path, options, essential) as image:
                return _decoded(image, at_least)
        except ImageError as without:
            error = without
    if error.reason == NOT_AN_IMAGE and (kind := known_kind(path)):
        raise ImageError(error.path, f"{NOT_AN_IMAGE}: {kind}") from error
    if not options.keep_truncated or error.reason != TRUNCATED:
        raise error
    source = _essential(path) or ended(path)
    with source, opened(path, options, source, truncated=True) as image:
        found = replace(_decoded(image, at_least), is_truncated=True)
    if all(low == high for low, high in found.image.getextrema()):
        raise ImageError(path, TRUNCATED)
    return found


def _essential(path: str) -> io.BufferedReader | None:
    """Return a PNG file without its ancillary chunks; None if it has none, or is another file."""
    try:
        found = EssentialChunks(path)
    except OSError:
        return None
    if found.is_shorter:
        return io.BufferedReader(found)
    found.close()
    return None


def _decoded(image: Image.Image, at_least: int | None) -> Decoded:
    width, height = image.size
    num_channels = len(image.getbands())
    if at_least is not None and image.format == "JPEG":
        image.draft(None, (at_least, at_least))
    kind = image.format
    image.load()
    turn = orientation(image)
    if turn in (5, 6, 7, 8):
        width, height = height, width
    upright = to_rgb(image.transpose(UPRIGHT[turn]) if turn in UPRIGHT else image.copy())
    is_dark = is_deep(image) and upright.getextrema()[0][1] < DARK
    return Decoded(upright, width, height, num_channels, kind, is_dark=is_dark)


def orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation of an image; None if missing or unreadable."""
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:  # the image itself is fine
        return None


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow image to 8-bit RGB without saturation or revealing hidden colors."""
    if is_deep(image):
        values = np.asarray(image)
        pixels = _to_8_bit(values, image.mode)
        if (clear := image.info.get("transparency")) is not None:
            pixels[values == clear] = BACKGROUND[0]
        return Image.fromarray(pixels).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(canvas, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def is_deep(image: Image.Image) -> bool:
    """Return whether an image has one channel of more than 8 bits, or of floats."""
    return image.mode.startswith("I") or image.mode == "F"


def _to_8_bit(values: np.ndarray, mode: str) -> np.ndarray:
    """Scale integers by their nominal range (16 bits), floats by [0, 1], [0, 255] or min-max."""
    values = np.nan_to_num(values.astype(np.float64))
    low, high = float(values.min()), float(values.max())
    if mode.startswith("I") and low >= 0 and high <= 65535:
        values = values / 257.0
    elif mode == "F" and low >= 0 and high <= 1:
        values = values * 255.0
    elif low < 0 or high > 255:
        values = (values - low) * (255.0 / max(high - low, 1e-12))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
