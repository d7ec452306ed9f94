"""Where and how sharply a network looked: a few numbers for each map, to sort samples by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..images.geometry import WHOLE, Box, to_frame

GRID = 60  # cells a side: a tenth of the area and a tenth of the side are whole numbers of them


@dataclass(frozen=True)
class Measures:
    """What a map looks like, in shares of the image, so that its size does not matter.

    Attributes:
        focus: share of the map's mass in its hottest tenth of the area, in [0.1, 1]; 0.1 is an
            even map, 1 a single spot
        centroid: (x, y) of the mass, in [0, 1] from the left and from the top
        border: share of the mass in the frame that takes a tenth of each side, in [0, 1]; 0.36 is
            an even map
    """

    focus: float
    centroid: tuple[float, float]
    border: float


def measure(cam: np.ndarray, box: Box = WHOLE) -> Measures | None:
    """Measure a map in the frame of its image.

    Args:
        cam: (h, w) array; what is below 0 does not count
        box: what the model saw of the image

    Returns:
        its measures; None if it is nowhere above zero, for then it has no place
    """
    smooth = np.clip(to_frame(cam / max(float(cam.max()), 1e-30), GRID, GRID, box), 0, None)
    mass = float(smooth.sum(dtype=np.float64))
    if cam.max() <= 0 or mass <= 0:
        return None
    tenth = GRID * GRID // 10
    hottest = np.partition(smooth, -tenth, axis=None)[-tenth:]
    edge = GRID // 10
    inner = smooth[edge:-edge, edge:-edge].sum(dtype=np.float64)
    centers = (np.arange(GRID) + 0.5) / GRID
    return Measures(
        focus=float(hottest.sum(dtype=np.float64) / mass),
        centroid=(
            float((smooth.sum(0) * centers).sum() / mass),
            float((smooth.sum(1) * centers).sum() / mass),
        ),
        border=float(1 - inner / mass),
    )
