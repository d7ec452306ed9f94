"""Duplicates: equal files by their digests, near duplicates by their features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

THUMBNAIL = 16  # pixels
GRAY = (0.299, 0.587, 0.114)  # weights of red, green and blue (ITU-R BT.601)
SIMILAR, RATIO, FALSE_PAIRS = 0.85, 0.35, 0.5  # see `near_duplicates`
NEIGHBOUR, FAR_NEIGHBOUR = 5, 10  # ranks of the usual neighbor, and of the last one used
ROUNDING = 1e-5  # rounding error of distances in float32
BLOCK = 1024  # rows of cosines that are computed at a time
FEW = 2**24  # up to this number of cosines, computing all is faster than a selection
LEFT_OUT = 0.25  # share of the squared lengths that shortened vectors may lose
MOST_CANDIDATES = 0.02  # share of a block's cosines; with more candidates, all rows are used
MARGIN = 1e-3  # tolerance of cosines for rounding


@dataclass(frozen=True)
class Leak:
    """A validation image that is also a training image.

    Attributes:
        train, val: paths of the two files
        kind: "exact" (equal files) or "near" (re-encoded, resized, slightly cropped ...)
    """

    train: str
    val: str
    kind: str


def same_content(digests_a: Sequence[bytes | str], digests_b: Sequence[bytes | str]) -> np.ndarray:
    """Find files of b that are also in a.

    Args:
        digests_a, digests_b: digests of files

    Returns:
        (k, 2) int64, for each member of b that is also in a: the first such index in a, and its own
    """
    first: dict[bytes | str, int] = {}
    for index, digest in enumerate(digests_a):
        first.setdefault(digest, index)
    pairs = [(first[digest], i) for i, digest in enumerate(digests_b) if digest in first]
    return np.array(pairs, np.int64).reshape(-1, 2)


def near_duplicates(
    features_a: np.ndarray,
    features_b: np.ndarray | None = None,
    similar: float = SIMILAR,
    ratio: float = RATIO,
    false_pairs: float = FALSE_PAIRS,
) -> tuple[np.ndarray, np.ndarray]:
    """Find pairs of near duplicates by features of a network.

    Features are standardized (with the means and deviations of a) and compared by cosine
    similarity. How similar two images of a class are differs between datasets, so that a high
    cosine alone is not sufficient: in addition, an image of b must be much nearer to the image of a
    than to its usual neighbor in a (as in the ratio test of Lowe, 2004, "Distinctive image features
    from scale-invariant keypoints", section 7.1). The usual neighbor is the fifth instead of the
    second, so that images with a few copies in a are found as well. How much nearer it must be
    depends on a: the fewer the directions in which its images differ, the nearer two of them are by
    chance.

    Args:
        features_a: (n, C) finite, of the images that are searched
        features_b: (m, C) finite, of the images that are looked up; None compares the images of a
            with each other
        similar: minimum cosine, in [-1, 1]
        ratio: maximum distance (1 - cosine) relative to that of the usual neighbor, in (0, 1];
            reduced if `false_pairs` requires it
        false_pairs: maximum expected number of pairs by chance, approximately

    Returns:
        pairs (k, 2) int64 of indexes in a and in b, the most similar first; and their cosines (k,).
        There are no pairs if a has fewer than 12 images, which are too few for a usual neighbor
    """
    count = len(features_a if features_b is None else features_b)
    if len(features_a) < 2 + FAR_NEIGHBOUR or not count:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)
    mean, deviation = features_a.mean(0), features_a.std(0)
    # Constant features carry no information, and must not be amplified.
    usable = deviation > 1e-6 * max(float(deviation.max()), 1e-30)
    a = _directions(features_a[:, usable], mean[usable], deviation[usable])
    b = a if features_b is None else features_b[:, usable]
    if b is not a:
        b = _directions(b, mean[usable], deviation[usable])
    # If four images are uniformly distributed in a ball of d dimensions whose radius is the
    # distance to the fifth, one of them is within a share s of the radius with a probability of
    # nearly 4 s^d.
    chance = false_pairs / (count * (NEIGHBOUR - 1))
    ratio = min(ratio, chance ** (2 / _dimension(a)))  # 1 - cosine is proportional to s^2
    found = [np.empty((0, 2), np.int64)]
    cosines = [np.empty(0, np.float32)]
    asked = _rows_with_candidates(a, b, similar)
    for start in range(0, len(asked), BLOCK):  # all n x m cosines might not fit into memory
        own = asked[start : start + BLOCK]
        block = b[own] @ a.T
        near = ratio * _distances(block, NEIGHBOUR)[:, -1]
        if b is a:
            block[np.arange(len(own)), own] = -1  # an image is not a duplicate of itself
        columns, rows = np.nonzero((block >= similar) & (1 - block <= near[:, None]))
        found.append(np.stack([rows, own[columns]], 1))
        cosines.append(block[columns, rows])
    cosine = np.concatenate(cosines)
    order = np.argsort(-cosine, kind="stable")
    return np.concatenate(found)[order], cosine[order]


def thumbnails(images: torch.Tensor) -> np.ndarray:
    """Return small gray pictures as arrays (see `small_pictures`)."""
    return small_pictures(images).cpu().numpy()


def small_pictures(images: torch.Tensor) -> torch.Tensor:
    """Return small gray pictures, normalized in brightness and contrast.

    They detect copies that were re-encoded, resized, brightened or converted to gray better than
    features of a network, but no cropped or mirrored ones.

    Args:
        images: (n, 3, S, S) uint8

    Returns:
        (n, 256) float32, on the device of the images
    """
    gray = torch.einsum("nchw,c->nhw", images.float(), torch.tensor(GRAY, device=images.device))
    small = F.adaptive_avg_pool2d(gray, THUMBNAIL).flatten(1)
    small = small - small.mean(1, keepdim=True)
    # Avoid amplifying rounding errors in images of a single color.
    return small / small.std(1, keepdim=True).clamp(min=1.0)


def near_pairs(
    looks_a: Sequence[np.ndarray], looks_b: Sequence[np.ndarray] | None = None
) -> list[tuple[int, int]]:
    """Find pairs of near duplicates with any of several kinds of features.

    Args:
        looks_a: arrays (n, C), one of each kind; rows with NaN are left out
        looks_b: arrays (m, C) of the same kinds; None compares the images with each other

    Returns:
        (index in a, index in b), each once; within a, the smaller index comes first
    """
    found: dict[tuple[int, int], None] = {}
    for kind, a in enumerate(looks_a):
        own_a = own_b = np.flatnonzero(np.isfinite(a).all(1))
        b = None
        if looks_b is not None:
            own_b = np.flatnonzero(np.isfinite(looks_b[kind]).all(1))
            b = looks_b[kind][own_b]
        pairs, _ = near_duplicates(a[own_a], b, false_pairs=FALSE_PAIRS / len(looks_a))
        for i, j in pairs:
            pair = int(own_a[i]), int(own_b[j])
            found[pair if looks_b is not None else (min(pair), max(pair))] = None
    return list(found)


def group_pairs(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Merge pairs into groups.

    Args:
        count: number of items
        pairs: pairs of indexes of items in the same group

    Returns:
        for each item, the smallest index in its group
    """
    group = list(range(count))

    def head(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    for i, j in pairs:
        first, second = sorted((head(i), head(j)))
        group[second] = first
    return [head(i) for i in range(count)]


def _rows_with_candidates(a: np.ndarray, b: np.ndarray, similar: float) -> np.ndarray:
    """Return the rows of b that may be similar to a row of a.

    These are all rows of b (m, C) that have a cosine of at least `similar` to a row of a (n, C)
    other than itself, and perhaps a few others. Vectors have length 1. Few images have such a row,
    and the exact cosines are only computed for these. Candidates are found with vectors that are
    rotated to the main directions of a and shortened: the missing part adds at most the product of
    its lengths to a cosine. These lengths are stored as an additional number, so that the product
    of two short vectors is this upper bound.
    """
    every = np.arange(len(b))
    if len(a) * len(b) <= FEW:
        return every
    sample = a[:: -(-len(a) // (8 * BLOCK))].astype(np.float64)
    energy, turn = np.linalg.eigh(sample.T @ sample)
    kept = np.cumsum(energy) > LEFT_OUT * energy.sum()
    turn = turn[:, kept].astype(np.float32)
    if turn.shape[1] > a.shape[1] // 2:
        return every
    short_a = _short(a, turn)
    short_b = short_a if b is a else _short(b, turn)
    found = []
    for start in range(0, len(b), BLOCK):
        bounds = short_b[start : start + BLOCK] @ short_a.T
        if b is a:
            own = np.arange(len(bounds))
            bounds[own, start + own] = -1
        columns, rows = np.nonzero(bounds >= similar - MARGIN)
        if len(rows) > MOST_CANDIDATES * bounds.size:
            found.append(every[start : start + BLOCK])
            continue
        for part in range(0, len(rows), 8 * BLOCK):
            chosen = start + columns[part : part + 8 * BLOCK]
            cosine = np.einsum("ij,ij->i", b[chosen], a[rows[part : part + 8 * BLOCK]])
            found.append(chosen[cosine >= similar - MARGIN])
    return np.unique(np.concatenate(found)) if found else every[:0]


def _short(vectors: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Project vectors of length 1 (n, C) on directions (C, k), and append the norm of the rest."""
    short = vectors @ turn
    left = np.sqrt(np.maximum(1 - np.square(short).sum(1, keepdims=True), 0))
    return np.concatenate([short, left], 1)


def _directions(features: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return standardized features as vectors of length 1; (n, C) float32."""
    standard = ((features - mean) / deviation).astype(np.float32)
    return standard / np.maximum(np.linalg.norm(standard, axis=1, keepdims=True), 1e-12)


def _distances(cosines: np.ndarray, count: int) -> np.ndarray:
    """Return distances of each row (r, n) to its nearest neighbors (r, count), the nearest first.

    They are at least the rounding error of 0.
    """
    nearest = np.partition(cosines, cosines.shape[1] - count, axis=1)[:, -count:]
    return np.maximum(1 - np.sort(nearest, axis=1)[:, ::-1], ROUNDING)


def _dimension(directions: np.ndarray) -> float:
    """Estimate the number of directions in which vectors (n, C) differ from their neighbors.

    At most BLOCK vectors are used. The logarithm of the ratio of the volumes up to the tenth and up
    to the fifth neighbor of uniformly distributed points is 1/5 + ... + 1/9 on average (as in
    Levina and Bickel, 2004, "Maximum likelihood estimation of intrinsic dimension", but without the
    nearest neighbors, which may be copies).
    """
    sample = np.arange(0, len(directions), -(-len(directions) // BLOCK))
    cosines = directions[sample] @ directions.T
    cosines[np.arange(len(sample)), sample] = -np.inf  # an image is not its own neighbor
    distances = _distances(cosines, FAR_NEIGHBOUR)
    growth = np.log(distances[:, -1] / distances[:, NEIGHBOUR - 1]).mean() / 2
    return float((1 / np.arange(NEIGHBOUR, FAR_NEIGHBOUR)).sum() / max(growth, 1e-3))
