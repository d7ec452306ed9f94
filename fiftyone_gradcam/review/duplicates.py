"""The same image twice: equal files by their digests, near duplicates by their features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

THUMBNAIL = 16  # pixels
GRAY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
SIMILAR, RATIO, FALSE_PAIRS = 0.85, 0.35, 0.5  # see `near_duplicates`
NEIGHBOUR, FAR_NEIGHBOUR = 5, 10  # the usual one, and the last one that is asked
ROUNDING = 1e-5  # of distances in float32
BLOCK = 1024  # rows of cosines at a time
FEW = 2**24  # cosines that are computed at once sooner than sorted out
LEFT_OUT = 0.25  # of the squared lengths, by the short vectors that candidates are found with
MOST_CANDIDATES = 0.02  # of a block's cosines; with more, no row is worth leaving out
MARGIN = 1e-3  # of cosines, for rounding


@dataclass(frozen=True)
class Leak:
    """A validation image that is a training image too.

    Attributes:
        train, val: paths of the two files
        kind: "exact" (equal files) or "near" (re-encoded, resized, slightly cropped ...)
    """

    train: str
    val: str
    kind: str


def same_content(digests_a: Sequence[bytes | str], digests_b: Sequence[bytes | str]) -> np.ndarray:
    """Find what of b is in a.

    Args:
        digests_a, digests_b: digests of files

    Returns:
        (k, 2) int64, for each member of b that a has: the first such index in a, and its own
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
    """Find pairs of images that are nearly the same, by features of a network.

    Features are standardised (by the means and deviations of a), and compared by the cosine. How
    alike two images of one class look differs from dataset to dataset, so that a high cosine alone
    proves nothing: an image of b is taken for one of a if, beside that, it is far nearer to it than
    to its usual neighbour in a (as in the ratio test of Lowe, 2004, "Distinctive image features
    from scale-invariant keypoints", section 7.1). The usual neighbour is not the next but the
    fifth, so that an image with a few copies in a is found as well. How much nearer it must be is
    read off a: the fewer the directions in which its images differ, the nearer two of them come by
    chance.

    Args:
        features_a: (n, C) finite, of images that are searched
        features_b: (m, C) finite, of images that are looked for; None compares the images of a
            with each other
        similar: least cosine, in [-1, 1]
        ratio: highest distance (1 - cosine), as a share of that to the usual neighbour, in (0, 1];
            a smaller one where `false_pairs` asks for it
        false_pairs: at most about so many pairs are expected by chance

    Returns:
        pairs (k, 2) int64 of indexes in a and in b, the most similar first; their cosines (k,).
        None if a has fewer than 12 images: nothing is usual there
    """
    count = len(features_a if features_b is None else features_b)
    if len(features_a) < 2 + FAR_NEIGHBOUR or not count:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)
    mean, deviation = features_a.mean(0), features_a.std(0)
    # A feature that never changes in a says nothing, and must not be blown up.
    usable = deviation > 1e-6 * max(float(deviation.max()), 1e-30)
    a = _directions(features_a[:, usable], mean[usable], deviation[usable])
    b = a if features_b is None else features_b[:, usable]
    if b is not a:
        b = _directions(b, mean[usable], deviation[usable])
    # Of four images strewn evenly in a ball of d dimensions, whose radius is the distance to the
    # fifth, one is within a share s of that radius with a probability of nearly 4 s^d.
    chance = false_pairs / (count * (NEIGHBOUR - 1))
    ratio = min(ratio, chance ** (2 / _dimension(a)))  # the cosine's distance goes as s^2
    found = [np.empty((0, 2), np.int64)]
    cosines = [np.empty(0, np.float32)]
    asked = _rows_with_candidates(a, b, similar)
    for start in range(0, len(asked), BLOCK):  # n x m cosines at once might not fit into memory
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
    """Small gray pictures as arrays (see `small_pictures`)."""
    return small_pictures(images).cpu().numpy()


def small_pictures(images: torch.Tensor) -> torch.Tensor:
    """Small gray pictures, of one brightness and contrast.

    They tell copies that were re-encoded, resized, lightened or made gray, better than features of
    a network do, and nothing of cropped or mirrored ones.

    Args:
        images: (n, 3, S, S) uint8

    Returns:
        (n, 256) float32, on the device of the images
    """
    gray = torch.einsum("nchw,c->nhw", images.float(), torch.tensor(GRAY, device=images.device))
    small = F.adaptive_avg_pool2d(gray, THUMBNAIL).flatten(1)
    small = small - small.mean(1, keepdim=True)
    # What is plain has no picture, and rounding is not to become one.
    return small / small.std(1, keepdim=True).clamp(min=1.0)


def near_pairs(
    looks_a: Sequence[np.ndarray], looks_b: Sequence[np.ndarray] | None = None
) -> list[tuple[int, int]]:
    """Find pairs that are nearly the same by any of several kinds of features.

    Args:
        looks_a: arrays (n, C), one of each kind; rows with NaN are left out
        looks_b: arrays (m, C) of the same kinds; None compares the images with each other

    Returns:
        (index in a, index in b), each once; within a the smaller index first
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
    """Join what belongs together, directly or by others.

    Args:
        count: of all
        pairs: indexes of two that belong together

    Returns:
        the smallest index of the group of each
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
    """Rows of b (m, C) with a cosine of at least `similar` to a row of a (n, C), itself aside if b
    is a; perhaps a few others. Vectors have length 1.

    Few images have one, and only these are worth n cosines of C numbers. They are found by vectors
    that are turned into the main directions of a and cut: what was cut off adds at most the product
    of its lengths to a cosine. These lengths are one more number, so that a product of two short
    vectors is that bound.
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
    """Vectors of length 1 (n, C) in some directions (C, k), and the length of what is left."""
    short = vectors @ turn
    left = np.sqrt(np.maximum(1 - np.square(short).sum(1, keepdims=True), 0))
    return np.concatenate([short, left], 1)


def _directions(features: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Standardised features as vectors of length 1; (n, C) float32."""
    standard = ((features - mean) / deviation).astype(np.float32)
    return standard / np.maximum(np.linalg.norm(standard, axis=1, keepdims=True), 1e-12)


def _distances(cosines: np.ndarray, count: int) -> np.ndarray:
    """Distances of each row (r, n) to its next neighbours (r, count), the nearest first; they are
    at least what rounding makes of 0."""
    nearest = np.partition(cosines, cosines.shape[1] - count, axis=1)[:, -count:]
    return np.maximum(1 - np.sort(nearest, axis=1)[:, ::-1], ROUNDING)


def _dimension(directions: np.ndarray) -> float:
    """In how many directions vectors (n, C) differ from their neighbours (at most BLOCK are asked).

    Volumes up to the fifth and up to the tenth neighbour of evenly strewn points differ by a factor
    whose logarithm is 1/5 + ... + 1/9 on average (as in Levina and Bickel, 2004, "Maximum
    likelihood estimation of intrinsic dimension", but without the nearest, which may be copies).
    """
    sample = np.arange(0, len(directions), -(-len(directions) // BLOCK))
    cosines = directions[sample] @ directions.T
    cosines[np.arange(len(sample)), sample] = -np.inf  # an image is not a neighbor of its own
    distances = _distances(cosines, FAR_NEIGHBOUR)
    growth = np.log(distances[:, -1] / distances[:, NEIGHBOUR - 1]).mean() / 2
    return float((1 / np.arange(NEIGHBOUR, FAR_NEIGHBOUR)).sum() / max(growth, 1e-3))
