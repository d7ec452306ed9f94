"""How the scores of a class spread over its own images, and over other images."""

from __future__ import annotations

import numpy as np

BINS = 20


def bin_edges(bins: int = BINS) -> np.ndarray:
    """Where the bins of scores begin and end (bins + 1,), from 0 to 1."""
    return np.arange(bins + 1) / bins


def places(scores: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The bin of each score (N,): the score is in [low, high), in the last bin in [low, 1].

    Args:
        scores: (N,) in [0, 1]; NaN is in no bin, which is -1
        bins: of equal width
    """
    found = np.searchsorted(bin_edges(bins), scores, side="right") - 1
    return np.where(np.isnan(scores), -1, np.clip(found, 0, bins - 1))


def histogram(scores: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Numbers of scores (bins,) in each bin; see `places`."""
    own = places(scores, bins)
    return np.bincount(own[own >= 0], minlength=bins)


def ranked(scores: np.ndarray, chosen: np.ndarray, highest: bool, most: int) -> np.ndarray:
    """Places of the chosen scores in order, at most some of them.

    Args:
        scores: (N,)
        chosen: (N,) bool
        highest: the highest first, or else the lowest; equal scores keep their order
        most: how many
    """
    own = np.flatnonzero(chosen)
    order = np.argsort(-scores[own] if highest else scores[own], kind="stable")
    return own[order[:most]]
