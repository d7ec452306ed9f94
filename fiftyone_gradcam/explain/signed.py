"""Signed maps, stored as two pictures: evidence for a class, and evidence against it.

The App paints a heatmap by its distance from 0. In a single picture with zero in the middle of
the range, a signed map would tint the whole image.
"""

from __future__ import annotations

import numpy as np

# Prefix of the kind of a heatmap that shows the evidence against a class.
AGAINST = "against:"


def signed_pixels(pixels: np.ndarray, against: np.ndarray) -> np.ndarray:
    """Combine the two stored pictures of a signed map into one.

    Args:
        pixels: uint8 (height, width), the map as drawn by `render_heatmap`
        against: the same for the map times -1, with the same peak

    Returns:
        uint8 (height, width): from 1 at -peak over 128 at zero to 255 at the peak; 0 where the
        model saw nothing
    """
    difference = np.rint(128 + (pixels.astype(np.float32) - against) / 2)
    return np.where(pixels > 0, difference, 0).astype(np.uint8)
