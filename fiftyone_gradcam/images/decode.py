"""One way from an image file to upright 8-bit RGB, for training, prediction and pictures."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

BACKGROUND = (255, 255, 255)
ORIENTATION = 0x0112  # EXIF tag


class ImageError(ValueError):
    """A file that cannot be used as an image; `path` names it and `reason` says why."""

    def __init__(self, path: str, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Decoded:
    """An upright RGB image, with what its file holds at full size: width, height, channels."""

    image: Image.Image
    width: int
    height: int
    num_channels: int


def decode(path: str, at_least: int | None = None) -> Decoded:
    """Decode an image file to upright 8-bit RGB.

    EXIF orientation is applied, as browsers do; 16-bit and float images are scaled to 8 bits
    instead of saturating; transparency is composited on white; of an animation the first frame
    is taken. Every byte is read, so that a truncated file is never taken for a whole one.

    Args:
        path: an image file
        at_least: allow JPEG files to be decoded at a reduced scale (1/2, 1/4, 1/8) as long as
            both sides stay at or above this many pixels; None decodes at full size

    Raises:
        ImageError: if the file is missing, empty, no image, truncated, corrupt or too large
    """
    with _opened(path) as image:
        width, height = image.size
        if image.getexif().get(ORIENTATION) in (5, 6, 7, 8):
            width, height = height, width
        num_channels = len(image.getbands())
        if at_least is not None and image.format == "JPEG":
            image.draft(None, (at_least, at_least))
        return Decoded(to_rgb(ImageOps.exif_transpose(image)), width, height, num_channels)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow image to 8-bit RGB without saturating or showing hidden colours."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_8_bit(np.asarray(image), image.mode)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(canvas, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


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


class _opened:
    """Open a file with Pillow; whatever goes wrong inside becomes an ImageError with a reason."""

    def __init__(self, path: str):
        self.path = os.fspath(path)
        self.image: Image.Image | None = None

    def __enter__(self) -> Image.Image:
        if not os.path.exists(self.path):
            missing = "broken link" if os.path.islink(self.path) else "file not found"
            raise ImageError(self.path, missing)
        if os.path.isfile(self.path) and os.path.getsize(self.path) == 0:
            raise ImageError(self.path, "empty file")
        try:
            self.image = Image.open(self.path)
        except Exception as error:
            raise ImageError(self.path, _reason(error)) from error
        return self.image

    def __exit__(self, kind, error, trace) -> None:
        if self.image is not None:
            self.image.close()
        if isinstance(error, Exception) and not isinstance(error, ImageError):
            raise ImageError(self.path, _reason(error)) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError):
        return "too large (decompression bomb)"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, IsADirectoryError):
        return "a folder, not a file"
    if isinstance(error, MemoryError):
        return "too large for the memory"
    if isinstance(error, OSError | SyntaxError | ValueError | struct.error) and (
        "truncated" in str(error).lower()
    ):
        return "truncated"
    return f"corrupt ({error or type(error).__name__})"
