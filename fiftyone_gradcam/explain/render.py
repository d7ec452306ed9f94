"""From a map on the model's grid to an 8-bit picture in the frame of the image."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from ..images.geometry import to_frame

LONGEST_SIDE = 512


def heatmap_size(width: int, height: int, longest: int = LONGEST_SIDE) -> tuple[int, int]:
    """The size at which a heatmap of an image is stored: the image's own, or its aspect ratio
    with the longer side at `longest` pixels, which is as smooth and far smaller."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def render_heatmap(cam: np.ndarray, width: int, height: int) -> tuple[np.ndarray, float]:
    """Stretch a map smoothly over its image and scale it by its own peak.

    Args:
        cam: (h, w) array, at least 0
        width, height: pixels of the whole upright image

    Returns:
        uint8 array in the frame of the image (at most 512 pixels long), from 1 where the map is
        zero to 255 at its peak, all zero if the whole map is (the App draws 0 as transparent, so
        that 0 inside a map would tear holes into its colours); and the raw peak, which the
        scaling hides
    """
    peak = float(cam.max())
    size = heatmap_size(width, height)
    if peak <= 0:
        return np.zeros(size[::-1], np.uint8), 0.0
    smooth = to_frame(cam / peak, *size)
    return np.rint(1 + 254 * np.clip(smooth, 0, 1)).astype(np.uint8), peak


def save_heatmap(pixels: np.ndarray, path: str) -> None:
    """Write a grey PNG; its folder must exist. The file appears only when it is complete."""
    part = f"{path}.part"
    Image.fromarray(pixels).save(part, format="PNG", compress_level=1)
    os.replace(part, path)
