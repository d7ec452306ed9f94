"""One way from an image file to upright 8-bit RGB, for training, prediction and pictures."""

from __future__ import annotations

import ctypes
import glob
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError

BACKGROUND = (255, 255, 255)
ORIENTATION = 0x0112  # EXIF tag
DARK = 17  # of 255: 12 bits in 16
END_OF_JPEG = b"\xff\xd9"


def _silence_libtiff() -> None:
    """Keep the library that Pillow's packages bring along from printing each fault of a file, of
    which there may be hundreds; Pillow raises for those that count."""
    home = os.path.dirname(PIL.__file__)
    own = ("../pillow.libs/libtiff-*", ".dylibs/libtiff*")  # on Linux, on macOS
    for path in (path for name in own for path in glob.glob(os.path.join(home, name))):
        library = ctypes.CDLL(path)
        library.TIFFSetWarningHandler(None)
        library.TIFFSetErrorHandler(None)


_silence_libtiff()


class ImageError(ValueError):
    """A file that cannot be used as an image; `path` names it and `reason` says why."""

    def __init__(self, path: str, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self):  # as workers of a DataLoader send it
        return type(self), (self.path, self.reason)


@dataclass(frozen=True)
class Decoded:
    """An upright RGB image, with what its file holds: width, height, channels, format.

    `is_dark` if it has 16 bits, of which so few are used that hardly anything is to be seen.
    """

    image: Image.Image
    width: int
    height: int
    num_channels: int
    format: str
    is_truncated: bool = False
    is_dark: bool = False


def decode(path: str, at_least: int | None = None, keep_truncated: bool = False) -> Decoded:
    """Decode an image file to upright 8-bit RGB.

    EXIF orientation is applied, as browsers do; 16-bit and float images are scaled to 8 bits
    instead of saturating; transparency is composited on white; of an animation the first frame
    is taken. Colour profiles and gamma are left alone. Every byte is read, so that a truncated
    file is never taken for a whole one. Pillow's own switch for truncated files is not touched: it
    stands for all threads at once.

    Args:
        path: an image file
        at_least: allow JPEG files to be decoded at a reduced scale (1/2, 1/4, 1/8) as long as
            both sides stay at or above this many pixels; None decodes at full size
        keep_truncated: take what a truncated file holds; what it lacks is black, or grey in a
            JPEG file. One that holds nothing to be seen is refused all the same

    Raises:
        ImageError: if the file is missing, empty, no image, truncated, corrupt or too large
    """
    try:
        with _opened(path) as image:
            return _decoded(image, at_least)
    except ImageError as error:
        if not keep_truncated or error.reason != "truncated":
            raise
    with _opened(path, truncated=True) as image:
        found = replace(_decoded(image, at_least), is_truncated=True)
    if all(low == high for low, high in found.image.getextrema()):
        raise ImageError(path, "truncated")
    return found


def _decoded(image: Image.Image, at_least: int | None) -> Decoded:
    width, height = image.size
    if image.getexif().get(ORIENTATION) in (5, 6, 7, 8):
        width, height = height, width
    num_channels = len(image.getbands())
    if at_least is not None and image.format == "JPEG":
        image.draft(None, (at_least, at_least))
    kind = image.format
    upright = to_rgb(ImageOps.exif_transpose(image))
    is_dark = is_deep(image) and upright.getextrema()[0][1] < DARK
    return Decoded(upright, width, height, num_channels, kind, is_dark=is_dark)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow image to 8-bit RGB without saturating or showing hidden colours."""
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
    """Whether an image has one channel of more than 8 bits, or of floats."""
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


@contextmanager
def _opened(path: str, truncated: bool = False) -> Iterator[Image.Image]:
    """Open a file with Pillow; whatever goes wrong inside becomes an ImageError with a reason."""
    path = os.fspath(path)
    if not os.path.exists(path):
        raise ImageError(path, "broken link" if os.path.islink(path) else "file not found")
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise ImageError(path, "empty file")
    try:
        with Image.open(_ended(path) if truncated else path) as image:
            if truncated:
                _load_what_is_there(image)
            yield image
    except Exception as error:
        raise ImageError(path, _reason(error)) from error


def _ended(path: str) -> io.BytesIO:
    """A file with the mark at its end that the decoder of JPEG files waits for."""
    with open(path, "rb") as file:
        return io.BytesIO(file.read() + END_OF_JPEG)


def _load_what_is_there(image: Image.Image) -> None:
    """Load a truncated file: Pillow raises after it has decoded what is there."""
    try:
        image.load()
    except OSError:
        if not image.tile:
            raise
        image.tile = []  # nothing is left to be decoded


_REASONS = (
    (UnidentifiedImageError, "not an image"),
    (Image.DecompressionBombError, "too large (decompression bomb)"),
    (PermissionError, "permission denied"),
    (IsADirectoryError, "a folder, not a file"),
    (MemoryError, "too large for the memory"),
)


def _reason(error: Exception) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return "truncated" if "truncated" in str(error).lower() else "corrupt"
