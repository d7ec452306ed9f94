"""Appearance of a file: whether it looks like a mask or a photo."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from ..images.decode import ImageError, decode

SIDE = 256  # maximum number of sampled pixels in each direction
THUMBNAIL = (32, 32)
GRAY = 12  # of 255; maximum difference between the channels of a gray pixel
DARK, BRIGHT = 40, 215
FEW_COLORS = 32  # of masks with a value for each class
MORE_COLORS = 4  # an image has this many times the colors of its mask, if both are nearly black
SAME_PICTURE = 10.0  # of 255; maximum mean difference in brightness of one picture in two formats
SAME_PIXELS = 0.9  # minimum correlation in brightness of one picture with few colors
SAME_SHAPES = 0.8  # minimum correlation in brightness of one picture in other tones


@dataclass(frozen=True)
class Look:
    """Appearance of a file.

    Attributes:
        is_gray: whether nearly all pixels are gray
        is_one_channel: whether the file has one channel, and is gray
        is_black_and_white: whether it is gray, and nearly all pixels are black or white
        has_few_colors: whether a few colors make up nearly all of it
        num_colors: number of colors that make up nearly all of it
        brightness: a thumbnail, uint8 (32, 32)
    """

    is_gray: bool
    is_one_channel: bool
    is_black_and_white: bool
    has_few_colors: bool
    num_colors: int
    brightness: np.ndarray

    @property
    def is_like_mask(self) -> bool:
        """Whether it could be a mask, judged alone."""
        return self.is_black_and_white or self.has_few_colors


def look(path: str) -> Look | None:
    """Return the appearance of a file; None if it is not a readable image. Results are cached."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return _look(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=4096)
def _look(path: str, size: int, mtime: int) -> Look | None:
    try:
        found = decode(path, at_least=SIDE)
    except ImageError:
        return None
    pixels = np.asarray(found.image)
    # Pixels are skipped instead of averaged, which would create new colors.
    step = (max(1, pixels.shape[0] // SIDE), max(1, pixels.shape[1] // SIDE))
    seen = pixels[:: step[0], :: step[1]].reshape(-1, 3).astype(np.int32)
    gray = float((seen.max(1) - seen.min(1) <= GRAY).mean())
    level = seen.mean(1)
    extreme = float(((level <= DARK) | (level >= BRIGHT)).mean())
    counts = np.unique(seen @ (1, 1 << 8, 1 << 16), return_counts=True)[1]
    shares = np.cumsum(np.sort(counts)[::-1]) / counts.sum()
    num_colors = int(np.searchsorted(shares, 0.99)) + 1
    thumbnail = found.image.convert("L").resize(THUMBNAIL, Image.Resampling.BOX)
    return Look(
        gray >= 0.98,
        found.num_channels == 1 and gray >= 0.98,
        gray >= 0.98 and extreme >= 0.95,
        num_colors <= max(2, min(FEW_COLORS, len(seen) // 8)),
        num_colors,
        np.asarray(thumbnail),
    )


def is_mask_of(mask: Look, image: Look) -> bool | None:
    """Return whether one file is a mask of the other, and not the same picture in another format.

    A mask is black and white, or has few colors or one channel, and its image does not.

    Returns:
        None if this cannot be decided: neither of them looks like a photo
    """
    if _is_same_picture(mask, image):
        return False
    if not image.is_like_mask:
        return mask.is_like_mask or (mask.is_one_channel and not image.is_gray)
    if mask.has_few_colors and not image.has_few_colors:  # the mask of a nearly black photo
        return True
    # The mask of a drawing, a plain area or a night photo.
    has_more = not image.is_gray or image.num_colors >= MORE_COLORS * mask.num_colors
    if mask.is_black_and_white and mask.has_few_colors and has_more:
        return True
    return None if mask.is_like_mask else False


def _is_same_picture(one: Look, other: Look) -> bool:
    a, b = one.brightness.astype(np.float64), other.brightness.astype(np.float64)
    if min(a.std(), b.std()) < 1:  # an empty mask does not resemble its image
        return max(a.std(), b.std()) < 1 and abs(a.mean() - b.mean()) < SAME_PICTURE
    is_near = bool(np.abs(a - b).mean() < SAME_PICTURE)
    correlation = abs(float(np.corrcoef(a.ravel(), b.ravel())[0, 1]))
    if one.has_few_colors or other.has_few_colors:
        # A mask follows the shapes of its object, which may have the same brightness.
        return is_near and correlation > SAME_PIXELS
    return is_near or correlation > SAME_SHAPES


def is_mask(path: str, image: str, by_name: bool = False) -> bool | None:
    """Return whether a file looks like a mask of an image; None if this cannot be decided.

    Args:
        path: the file
        image: path of the image
        by_name: whether its name suggests a mask: then it is one unless it looks like a photo
    """
    mask, other = look(path), look(image)
    if by_name:
        is_photo = mask is not None and not mask.is_like_mask
        return not is_photo or (mask.is_one_channel and other is not None and not other.is_gray)
    return None if mask is None or other is None else is_mask_of(mask, other)


def is_like_mask(path: str) -> bool:
    """Return whether a file could be a mask, judged alone."""
    found = look(path)
    return found is not None and found.is_like_mask


def is_photo(path: str) -> bool:
    """Return whether a file is readable, and could not be a mask."""
    found = look(path)
    return found is not None and not found.is_like_mask
