"""The most similar images, and images that are like no other."""

from __future__ import annotations

import numpy as np

NEIGHBORS = 10
NEAR = 5  # neighbors that an outlier is far from
MOST_ASKED = 5000  # images that outliers are compared with
FAR = 4.5  # standard deviations above the median, estimated by the median absolute deviation
ROWS = 1024  # at a time


def nearest(
    vectors: np.ndarray,
    wanted: np.ndarray,
    group: np.ndarray,
    count: int = NEIGHBORS,
    among: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The images most similar to some, without their near duplicates.

    Args:
        vectors: (N, C) of length 1
        wanted: (n,) positions of those that are asked about
        group: (N,) equal for near duplicates
        count: of neighbors
        among: (m,) positions that neighbors are looked for in; None for all

    Returns:
        positions (n, count) of the neighbors, the nearest first; -1 where there are not so many;
        their cosines (n, count)
    """
    among = np.arange(len(vectors)) if among is None else among
    found = np.full((len(wanted), count), -1, np.int64)
    cosines = np.full((len(wanted), count), -np.inf, np.float32)
    pool, kept = vectors[among], min(count, len(among))
    for start in range(0, len(wanted), ROWS):
        rows = wanted[start : start + ROWS]
        block = vectors[rows] @ pool.T
        block[group[rows][:, None] == group[among][None]] = -np.inf  # itself among them
        best = np.argpartition(-block, kept - 1, axis=1)[:, :kept]
        values = np.take_along_axis(block, best, 1)
        order = np.argsort(-values, axis=1, kind="stable")
        values = np.take_along_axis(values, order, 1)
        best = np.take_along_axis(best, order, 1)
        cosines[start : start + ROWS, :kept] = values
        found[start : start + ROWS, :kept] = np.where(np.isfinite(values), among[best], -1)
    return found, cosines


def distances_to_others(vectors: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Mean distance (1 - cosine) of each image (N,) to the five most similar; above some thousand
    images, among some thousand that are spread over all.

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
    """Which distances (N,) are far above the usual: (N,) bool."""
    median = np.nanmedian(distances)
    spread = 1.4826 * np.nanmedian(np.abs(distances - median))
    return distances > median + FAR * max(spread, 1e-6)
