"""Most similar images, and outliers."""

from __future__ import annotations

import numpy as np

NEIGHBORS = 10
NEAR = 5  # number of neighbors to which the distance of outliers is measured
MOST_ASKED = 5000  # maximum number of images to which all are compared in search of outliers
FAR = 4.5  # standard deviations above the median, estimated by the median absolute deviation
ROWS = 1024  # processed at a time


def nearest(
    vectors: np.ndarray,
    wanted: np.ndarray,
    group: np.ndarray,
    count: int = NEIGHBORS,
    among: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the images most similar to some, without their near duplicates.

    Args:
        vectors: (N, C) of length 1
        wanted: (n,) positions of the images whose neighbors are wanted
        group: (N,) equal for near duplicates
        count: number of neighbors
        among: (m,) positions to search for neighbors; by default (None), all

    Returns:
        positions (n, count) of the neighbors, the nearest first, -1 if there are fewer; and their
        cosines (n, count)
    """
    among = np.arange(len(vectors)) if among is None else among
    found = np.full((len(wanted), count), -1, np.int64)
    cosines = np.full((len(wanted), count), -np.inf, np.float32)
    pool, kept = vectors[among], min(count, len(among))
    for start in range(0, len(wanted), ROWS):
        rows = wanted[start : start + ROWS]
        block = vectors[rows] @ pool.T
        block[group[rows][:, None] == group[among][None]] = -np.inf  # including the image itself
        best = np.argpartition(-block, kept - 1, axis=1)[:, :kept]
        values = np.take_along_axis(block, best, 1)
        order = np.argsort(-values, axis=1, kind="stable")
        values = np.take_along_axis(values, order, 1)
        best = np.take_along_axis(best, order, 1)
        cosines[start : start + ROWS, :kept] = values
        found[start : start + ROWS, :kept] = np.where(np.isfinite(values), among[best], -1)
    return found, cosines


def distances_to_others(vectors: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the mean distance (1 - cosine) of each image (N,) to its five most similar images.

    With more than 5,000 images, only 5,000 of them, evenly spread, are searched.

    Args:
        vectors: (N, C), see `kernel.plain_directions`
        group: (N,) equal for near duplicates
    """
    count = len(vectors)
    among = np.unique(np.linspace(0, count - 1, min(count, MOST_ASKED)).round().astype(int))
    _, cosines = nearest(vectors, np.arange(count), group, NEAR, among)
    usable = np.isfinite(cosines)
    total = np.where(usable, 1 - cosines, 0.0).sum(1)
    return np.where(usable.any(1), total / np.maximum(usable.sum(1), 1), np.nan)


def outliers(distances: np.ndarray) -> np.ndarray:
    """Return which distances (N,) are far above the median: (N,) bool."""
    median = np.nanmedian(distances)
    spread = 1.4826 * np.nanmedian(np.abs(distances - median))
    return distances > median + FAR * max(spread, 1e-6)
