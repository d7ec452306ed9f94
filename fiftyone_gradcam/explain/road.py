"""ROAD (remove and debias): remove pixels without leaving visible traces.

Rong, Leemann, Borisov, Kasneci, Kasneci, A consistent and efficient evaluation strategy for
attribution methods, ICML 2022 (arXiv 2202.00449). A gray patch has edges, and a network can
recognize its outline. Here each removed pixel is replaced with the weighted mean of its neighbors,
by solving one sparse linear system for all pixels, plus a little noise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import splu

NOISE = 0.01  # standard deviation, in units of the normalized image, as in the paper
# Weights of a pixel's neighbors by offset; opposite neighbors have the same weight.
WEIGHTS = {(0, 1): 1 / 6, (1, 0): 1 / 6, (1, 1): 1 / 12, (1, -1): 1 / 12}
# The systems are symmetric and diagonally dominant, so no pivoting is needed. The unknowns are
# already in a good order; searching for another one would take a third of the time.
SYMMETRIC = {"permc_spec": "NATURAL", "diag_pivot_thresh": 0.0}
SMALL = 6  # pixels: side of a part that is not divided further

Probability = Callable[[torch.Tensor], torch.Tensor]


def road(
    image: torch.Tensor,
    order: np.ndarray,
    probability: Probability,
    steps: int,
    random: np.random.Generator,
) -> float:
    """Return how much more a class depends on the hottest pixels than on the coldest.

    Args:
        image: normalized image (3, H, W)
        order: (H * W,) indexes of its pixels, the hottest first
        probability: maps normalized images (N, 3, H, W) to the class's probabilities (N,)
        steps: the shares 1 / steps, 2 / steps, ... of the pixels are removed, but never all
        random: generator for the noise

    Returns:
        half of the mean difference between the probability without the coldest and without the
        hottest pixels, in [-0.5, 0.5]; high is good, and 0 is no better than chance
    """
    shape, pixels = tuple(image.shape[1:]), image.detach().float().cpu().numpy()
    pictures = []
    for ordered in (order, order[::-1]):
        for step in range(1, steps):
            removed = np.zeros(len(order), bool)
            removed[ordered[: round(step * len(order) / steps)]] = True
            pictures.append(imputed(pixels, removed.reshape(shape), random))
    found = probability(torch.from_numpy(np.stack(pictures)).to(image))
    hottest, coldest = found.float().cpu().numpy().astype(np.float64).reshape(2, -1).mean(1)
    return float(coldest - hottest) / 2


def imputed(
    image: np.ndarray, removed: np.ndarray, random: np.random.Generator | None = None
) -> np.ndarray:
    """Return an image with some pixels replaced by weighted means of their neighbors.

    Args:
        image: (C, H, W)
        removed: (H, W) bool, the pixels to replace; at least one is kept
        random: generator for noise that is added to them; None adds none

    Returns:
        float32 (C, H, W)
    """
    flat = image.reshape(len(image), -1).astype(np.float64)
    order = _dissected(*removed.shape)
    missing, known = order[removed.ravel()[order]], np.flatnonzero(~removed)
    filled = flat.copy()
    if len(missing):
        rows = _differences(*removed.shape)[missing]
        system = rows[:, missing].tocsc()
        right = -(rows[:, known] @ flat[:, known].T)
        solved = splu(system, options={"SymmetricMode": True}, **SYMMETRIC).solve(right).T
        noise = 0 if random is None else NOISE * random.standard_normal(solved.shape)
        filled[:, missing] = solved + noise
    return filled.reshape(image.shape).astype(np.float32)


@lru_cache(maxsize=2)
def _differences(height: int, width: int) -> csr_matrix:
    """Return the matrix (H * W, H * W) of differences between pixels and their neighbors.

    It multiplies a pixel by the sum of its neighbors' weights and subtracts their weighted sum.
    Pixels at the border have fewer neighbors.
    """
    places = np.arange(height * width).reshape(height, width)
    ones, others, weights = [], [], []
    for (down, right), weight in WEIGHTS.items():
        left, top = max(0, -right), max(0, right)
        here = places[: height - down, left : width - top].ravel()
        there = places[down:, top : width - left].ravel()
        ones += [here, there]
        others += [there, here]
        weights += [np.full(2 * len(here), weight)]
    near = coo_matrix(
        (np.concatenate(weights), (np.concatenate(ones), np.concatenate(others))),
        shape=(height * width, height * width),
    ).tocsr()
    return (diags(np.asarray(near.sum(1)).ravel()) - near).tocsr()


@lru_cache(maxsize=2)
def _dissected(height: int, width: int) -> np.ndarray:
    """Return indexes (H * W,) of pixels in nested dissection order.

    Both halves of a part come before the line between them, which causes little fill-in (George,
    SIAM J. Numer. Anal. 1973).
    """
    found: list[np.ndarray] = []
    places = np.arange(height * width).reshape(height, width)

    def add(part: np.ndarray) -> None:
        if max(part.shape) <= SMALL:
            found.append(part.ravel())
            return
        longer = part if part.shape[0] >= part.shape[1] else part.T
        middle = len(longer) // 2
        for half in (longer[:middle], longer[middle + 1 :]):
            add(half)
        found.append(longer[middle])

    add(places)
    return np.concatenate(found)
