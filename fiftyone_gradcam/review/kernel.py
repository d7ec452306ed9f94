"""Kernel ridge regression of labels on features, which judges each image without itself.

There are no folds and no seed: leaving out an image, or a group of near duplicates, has a closed
form. A kernel matrix is stored as U diag(s) U^T with orthonormal columns, which is exact for up to
2,500 images, and approximated with landmarks (Nystroem) for more; all formulas are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh, solve_triangular

MOST_EXACT = 2500  # images; the time of an eigendecomposition grows with the cube
LANDMARKS = 1000
ROWS = 8192  # processed at a time
LAMBDAS = 10.0 ** np.arange(-2, 2.25, 0.5)
TINY = 1e-10  # eigenvalues below this share of the largest are rounding errors


@dataclass(frozen=True)
class Spectrum:
    """A kernel matrix G = U diag(s) U^T.

    Attributes:
        vectors: U (N, M), orthonormal columns
        values: s (M,), positive
    """

    vectors: np.ndarray
    values: np.ndarray


def directions(features: np.ndarray) -> np.ndarray:
    """Return vectors for the kernel: signed square roots of features, standardized, of length 1.

    Args:
        features: (N, C) finite

    Returns:
        (N, C) float32
    """
    roots = signed_roots(features)
    deviation = roots.std(0, dtype=np.float64)
    # Constant features carry no information, and must not be amplified.
    usable = deviation > 1e-6 * max(float(deviation.max(initial=0)), 1e-30)
    roots = roots[:, usable]
    roots -= roots.mean(0, dtype=np.float64).astype(np.float32)
    roots /= deviation[usable].astype(np.float32)
    return _of_length_1(roots)


def plain_directions(features: np.ndarray) -> np.ndarray:
    """Like `directions`, but without standardization, for detecting outliers.

    An outlier is far from all other images; standardization would make all distances similar.
    """
    return _of_length_1(signed_roots(features))


def spectrum_of(
    vectors: np.ndarray,
    labels: np.ndarray,
    most_exact: int = MOST_EXACT,
    landmarks: int = LANDMARKS,
) -> Spectrum:
    """Compute the kernel exp(-distance / median distance) + 1 of all images, distance = 1 - cosine.

    Args:
        vectors: (N, C) of length 1
        labels: (N,) class indexes; landmarks are spread over the classes
        most_exact: the kernel matrix is exact for up to this number of images
        landmarks: number of landmarks for more images
    """
    count = len(vectors)
    if count <= most_exact:
        chosen = vectors
    else:
        by_class = np.argsort(labels, kind="stable")
        chosen = vectors[by_class[np.linspace(0, count - 1, landmarks).round().astype(int)]]
    distances = _distances(chosen, chosen)
    width = float(np.median(distances[np.triu_indices(len(chosen), 1)])) or 1.0
    values, basis = eigh(_kernel(distances, width))
    usable = values > TINY * values[-1]
    values, basis = values[usable], basis[:, usable]
    if chosen is vectors:
        return Spectrum(basis, values)
    # G is approximately C W^-1 C^T, with W among the landmarks, and C between all images and them.
    basis = basis / np.sqrt(values)
    mapped = np.empty((count, len(values)), np.float32)
    square = np.zeros((len(values), len(values)))
    for start in range(0, count, ROWS):
        rows = _kernel(_distances(vectors[start : start + ROWS], chosen), width) @ basis
        square += rows.T @ rows
        mapped[start : start + ROWS] = rows
    values, turn = eigh(square)
    usable = values > 1e-6 * values[-1]  # mapped is float32
    values, turn = values[usable], (turn[:, usable] / np.sqrt(values[usable])).astype(np.float32)
    for start in range(0, count, ROWS):
        mapped[start : start + ROWS, : len(values)] = mapped[start : start + ROWS] @ turn
    return Spectrum(mapped[:, : len(values)], values)


def left_out_scores(
    spectrum: Spectrum, targets: np.ndarray, strength: float, groups: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """Return scores of each image by a ridge regression without it, or without its group.

    Args:
        spectrum: of the kernel
        targets: Y (N, K)
        strength: lambda
        groups: positions of images that are left out together; others are left out alone

    Returns:
        S (N, K); for a group B, S_B = Y_B - (I - H_BB)^-1 (Y - H Y)_B, with the hat matrix
        H = G (G + lambda I)^-1
    """
    vectors, shrunk = spectrum.vectors, spectrum.values / (spectrum.values + strength)
    coefficients = shrunk[:, None] * (vectors.T @ targets.astype(vectors.dtype))
    residuals = targets - vectors @ coefficients
    free = 1 - _row_sums(vectors, shrunk)
    scores = targets - residuals / free[:, None]
    for members in groups:
        rows = vectors[members].astype(np.float64)
        scores[members] = targets[members] - _solve_without(rows, shrunk, residuals[members])
    return scores


def refit_scores(
    spectrum: Spectrum,
    targets: np.ndarray,
    strength: float,
    left_out: np.ndarray,
    groups: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Return scores by a ridge regression that was fitted without some images.

    The other images are judged as in `left_out_scores`.

    Args:
        spectrum, targets, strength, groups: see `left_out_scores`
        left_out: (N,) bool

    Returns:
        (N, K)
    """
    out = np.flatnonzero(left_out)
    roots = np.sqrt(spectrum.values)
    # Psi = U sqrt(s): Psi^T Psi = diag(s), from which the images that are left out are subtracted.
    normal = np.diag(spectrum.values + strength)
    for start in range(0, len(out), ROWS):
        rows = spectrum.vectors[out[start : start + ROWS]].astype(np.float64) * roots
        normal -= rows.T @ rows
    factor = cho_factor(normal, lower=True)
    kept = np.where(left_out[:, None], 0.0, targets)
    moments = roots[:, None] * (spectrum.vectors.T @ kept.astype(spectrum.vectors.dtype))
    coefficients = cho_solve(factor, moments.astype(np.float64))
    predicted = spectrum.vectors @ (roots[:, None] * coefficients)
    residuals = kept - predicted
    scores = predicted.copy()
    triangle = np.tril(factor[0])

    def halves(members: np.ndarray) -> np.ndarray:
        """Return rows W with H = W W^T."""
        rows = spectrum.vectors[members].astype(np.float64) * roots
        return solve_triangular(triangle, rows.T, lower=True, check_finite=False).T

    stay = np.flatnonzero(~left_out)
    for start in range(0, len(stay), ROWS):
        members = stay[start : start + ROWS]
        free = 1 - np.square(halves(members)).sum(1)
        scores[members] = kept[members] - residuals[members] / free[:, None]
    ones = np.ones(len(spectrum.values))
    for members in groups:
        own = members[~left_out[members]]
        if not len(own):
            continue
        rows = halves(own)
        solved = _solve_without(rows, ones, residuals[own])
        scores[own] = kept[own] - solved
        # The other members of the group are not used to judge those that are left out either.
        others = members[left_out[members]]
        scores[others] = predicted[others] - halves(others) @ (rows.T @ solved)
    return scores


def choose_strength(
    spectrum: Spectrum, targets: np.ndarray, groups: Sequence[np.ndarray] = ()
) -> float:
    """Return the lambda with the smallest squared leave-one-out error."""
    errors = [
        float(np.square(left_out_scores(spectrum, targets, strength, groups) - targets).sum())
        for strength in LAMBDAS
    ]
    return float(LAMBDAS[int(np.argmin(errors))])


def _solve_without(rows: np.ndarray, weights: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return (I - W diag(weights) W^T)^-1 right, for rows W (n, M), with the smaller system."""
    if len(rows) <= rows.shape[1]:
        return np.linalg.solve(np.eye(len(rows)) - (rows * weights) @ rows.T, right)
    inner = np.diag(1 / weights) - rows.T @ rows
    return right + rows @ np.linalg.solve(inner, rows.T @ right)


def _row_sums(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the diagonal of U diag(weights) U^T."""
    weights = weights.astype(vectors.dtype)
    return np.concatenate(
        [
            np.square(vectors[start : start + ROWS]) @ weights
            for start in range(0, len(vectors), ROWS)
        ]
    ).astype(np.float64)


def signed_roots(features: np.ndarray) -> np.ndarray:
    """Return square roots of features with the signs of the features, float32 of any shape."""
    roots = np.sqrt(np.abs(features), dtype=np.float32)
    return np.copysign(roots, features, out=roots)


def _of_length_1(vectors: np.ndarray) -> np.ndarray:
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(1 - (a @ b.T).astype(np.float64), 0.0)


def _kernel(distances: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-distances / width) + 1
