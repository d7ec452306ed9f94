"""Histograms of the scores of a class, for its own images and for others."""

from __future__ import annotations

import numpy as np

BINS = 20


def bin_edges(bins: int = BINS) -> np.ndarray:
    """Return the edges (bins + 1,) of the bins, from 0 to 1."""
    return np.arange(bins + 1) / bins


def places(scores: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the bin (N,) of each score: bins are [low, high), the last one is [low, 1].

    Args:
        scores: (N,) in [0, 1]; the bin of NaN is -1
        bins: number of bins of equal width
    """
    found = np.searchsorted(bin_edges(bins), scores, side="right") - 1
    return np.where(np.isnan(scores), -1, np.clip(found, 0, bins - 1))


def histogram(scores: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the number of scores in each bin (bins,); see `places`."""
    own = places(scores, bins)
    return np.bincount(own[own >= 0], minlength=bins)


def ranked(scores: np.ndarray, chosen: np.ndarray, highest: bool, most: int) -> np.ndarray:
    """Return the positions of the chosen scores in order.

    Args:
        scores: (N,)
        chosen: (N,) bool
        highest: sort in descending instead of ascending order; ties keep their order
        most: maximum number of positions
    """
    own = np.flatnonzero(chosen)
    order = np.argsort(-scores[own] if highest else scores[own], kind="stable")
    return own[order[:most]]
