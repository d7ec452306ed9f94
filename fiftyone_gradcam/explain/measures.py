"""Measures of heatmaps: where and how sharply a network looks, to sort samples by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..images.geometry import WHOLE, Box, to_frame

GRID = 60  # cells per side; a tenth of the side, and of the area, is a whole number of cells


@dataclass(frozen=True)
class Measures:
    """Measures of a map, relative to the image, so that its size does not matter.

    Attributes:
        focus: share of the map's mass in its hottest tenth of the area, in [0.1, 1]; 0.1 is a
            uniform map, 1 a single spot
        centroid: (x, y) of the mass, in [0, 1] from the left and from the top
        border: share of the mass in a frame whose width is a tenth of each side, in [0, 1]; 0.36 is
            a uniform map
    """

    focus: float
    centroid: tuple[float, float]
    border: float


def measure(cam: np.ndarray, box: Box = WHOLE) -> Measures | None:
    """Measure a map in the frame of its image.

    Args:
        cam: (h, w) array; negative values are ignored
        box: the part of the image that the model saw

    Returns:
        the measures; None if the map is nowhere positive, because it has no location then
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
