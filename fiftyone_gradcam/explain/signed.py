"""Signed maps: stored as two pictures, of what speaks for a class and of what speaks against it.

The App paints a heatmap by its distance from 0. In one picture, with its zero in the middle of the
range, a signed map would tint the whole image.
"""

from __future__ import annotations

import numpy as np

# The kind of heatmap of what speaks against a class begins with it, before that of what speaks for.
AGAINST = "against:"


def signed_pixels(pixels: np.ndarray, against: np.ndarray) -> np.ndarray:
    """One picture of a signed map, of the two in which it is stored.

    Args:
        pixels: uint8 (height, width), as `render_heatmap` draws the map
        against: the same of the map times -1, with the same peak

    Returns:
        uint8 (height, width): from 1 at -peak over 128 at zero to 255 at the peak; 0 where the
        model saw nothing
    """
    difference = np.rint(128 + (pixels.astype(np.float32) - against) / 2)
    return np.where(pixels > 0, difference, 0).astype(np.uint8)
