"""Two-dimensional layouts of features, for visualization."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

METHODS = ("pca", "tsne", "umap")
MOST_TSNE = 5000  # number of images that t-SNE lays out in a minute or two on one processor
COMPONENTS = 50  # number of principal components for t-SNE, as scikit-learn recommends
PERPLEXITY = 30.0
LEAST = 3  # minimum number of images


def has_umap() -> bool:
    """Return whether umap-learn is installed."""
    return find_spec("umap") is not None


def pick_method(method: str | None, count: int) -> str:
    """Return the layout method.

    Args:
        method: "pca", "tsne" or "umap"; by default (None), "umap" if umap-learn is installed,
            otherwise "tsne" for up to 5,000 images and "pca" for more
        count: number of images

    Raises:
        ValueError: if there is no such method
        ImportError: if the method is "umap" and umap-learn is not installed
    """
    if method is None:
        return "umap" if has_umap() else "tsne" if count <= MOST_TSNE else "pca"
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if method == "umap" and not has_umap():
        raise ImportError(
            "method 'umap' needs umap-learn: pip install umap-learn, or choose 'tsne'"
        )
    return method


def layout(features: np.ndarray, method: str, seed: int = 0) -> np.ndarray:
    """Return points in the plane that are close to each other if their features are similar.

    Args:
        features: (N, C) finite, with N at least 3
        method: "pca" (the first two principal components), "tsne" (of 50 principal components) or
            "umap"
        seed: random seed of the last two

    Returns:
        (N, 2) float32

    Raises:
        ValueError: if there are fewer than three images
    """
    count, width = features.shape
    if count < LEAST:
        raise ValueError(f"A layout needs at least {LEAST} images, not {count}")
    features = features.astype(np.float32)
    if method == "umap":
        from umap import UMAP

        neighbors = min(15, count - 1)
        points = UMAP(n_neighbors=neighbors, random_state=seed).fit_transform(features)
        return np.asarray(points, np.float32)
    from sklearn.decomposition import PCA

    # The layout has two axes even if the features have only one.
    features = np.pad(features, ((0, 0), (0, max(0, 2 - width))))
    components = 2 if method == "pca" else min(COMPONENTS, *features.shape)
    points = PCA(components, random_state=seed).fit_transform(features)
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(PERPLEXITY, (count - 1) / 3)
        points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(points)
    return np.asarray(points, np.float32)
