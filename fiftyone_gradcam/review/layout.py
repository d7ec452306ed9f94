"""Features in two dimensions, so that they can be looked at."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

METHODS = ("pca", "tsne", "umap")
MOST_TSNE = 5000  # images that t-SNE lays out in a minute or two on a processor
COMPONENTS = 50  # principal components that are left for t-SNE, as scikit-learn advises
PERPLEXITY = 30.0
LEAST = 3  # images


def has_umap() -> bool:
    """Whether umap-learn is installed."""
    return find_spec("umap") is not None


def pick_method(method: str | None, count: int) -> str:
    """How features are laid out.

    Args:
        method: "pca", "tsne" or "umap"; None takes "umap" if umap-learn is installed, or else
            "tsne", of many images "pca"
        count: number of images

    Raises:
        ValueError: if there is no such method
        ImportError: if umap-learn is asked for and is not installed
    """
    if method is None:
        return "umap" if has_umap() else "tsne" if count <= MOST_TSNE else "pca"
    if method not in METHODS:
        raise ValueError(f"method may be any of {', '.join(METHODS)}, not {method!r}")
    if method == "umap" and not has_umap():
        raise ImportError(
            "method 'umap' needs umap-learn: pip install umap-learn, or choose 'tsne'"
        )
    return method


def layout(features: np.ndarray, method: str, seed: int = 0) -> np.ndarray:
    """Points in the plane, near each other where features are alike.

    Args:
        features: (N, C) finite, with N at least 3
        method: "pca" (the first two principal components), "tsne" (of 50 principal components) or
            "umap"
        seed: of what is random in the last two

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

    # The plane has two axes, also where features have one.
    features = np.pad(features, ((0, 0), (0, max(0, 2 - width))))
    components = 2 if method == "pca" else min(COMPONENTS, *features.shape)
    points = PCA(components, random_state=seed).fit_transform(features)
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(PERPLEXITY, (count - 1) / 3)
        points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(points)
    return np.asarray(points, np.float32)
