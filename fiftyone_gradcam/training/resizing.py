"""Choose how to resize images to squares for a pretrained network, by comparing its features."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..images.decode import DEFAULT, DecodeOptions
from ..images.geometry import RESIZES
from ..model.network import Network
from ..progress import Report
from ..review.linear import LeaveOneOut, leave_one_out
from .duration import LEAST_COMPARED as LEAST_IMAGES
from .duration import MOST_COMPARED as MOST_IMAGES
from .frozen import FrozenLater
from .recipe import AUTO, Recipe
from .resize_features import Keep, features_by_way, keep_nothing

LEAST_OF_A_CLASS = 4  # fewer images do not give a meaningful result


@dataclass(frozen=True)
class Comparison:
    """Result of comparing resize methods.

    Attributes:
        resize: the best method
        found: the result of each method; without "letterbox" if all images are square
        images: number of images compared
    """

    resize: str
    found: dict[str, LeaveOneOut]
    images: int

    def __str__(self) -> str:
        others = (f"{way} {one.accuracy:.3f}" for way, one in self.found.items())
        return (
            f"resize={self.resize!r} is chosen by the leave-one-out accuracy of a linear "
            f"classifier on features of {self.images} images: {', '.join(others)}"
        )


def compare_resizes(
    paths: Sequence[str],
    labels: np.ndarray,
    network: FrozenLater | Network,
    seed: int = 0,
    decode_options: DecodeOptions = DEFAULT,
    report: Report = lambda done, total, message: None,
    keep: Keep = keep_nothing,
) -> Comparison | None:
    """Compare resize methods on features of at most 300 images.

    The method with the highest leave-one-out accuracy wins. Methods that are not significantly
    worse (by one standard error of the difference) are compared by the squared error, which is more
    informative for few images.

    Args:
        paths, labels: (N,) files and class indexes, -1 for none
        network: the network whose features are compared; its own resize method is ignored
        seed: for drawing the images, with the same number from each class if possible
        decode_options: which unusual files are decoded
        report: called to report progress
        keep: provides the features of earlier comparisons, and stores new ones; by default, none

    Returns:
        None if there are too few images: less than 40, or less than two classes of at least four
    """
    chosen = images_to_compare(labels, paths, seed)
    if len(chosen) < LEAST_IMAGES:
        return None
    own = [paths[i] for i in chosen]
    with keep(network, own) as kept:
        features, is_there = features_by_way(own, network, decode_options, report, kept)
    labels = labels[chosen][is_there]
    if images_compared(labels) < LEAST_IMAGES:
        return None
    found = {way: leave_one_out(values, labels) for way, values in features.items()}
    return Comparison(best_way(found), found, len(labels))


def best_way(found: dict[str, LeaveOneOut]) -> str:
    """Return the best method (see `compare_resizes`)."""
    first = max(found, key=lambda way: (found[way].accuracy, -found[way].error))
    rest = [way for way in found if not _is_worse(found[way], found[first])]
    return min(rest, key=lambda way: found[way].error)


def _is_worse(one: LeaveOneOut, best: LeaveOneOut) -> bool:
    """Return whether a method is less accurate than the best by more than one standard error."""
    difference = best.correct.astype(np.float64) - one.correct
    return difference.mean() > difference.std() / np.sqrt(len(difference))


def images_compared(labels: np.ndarray) -> int:
    """Return how many images `images_to_compare` returns."""
    counts = np.bincount(labels[labels >= 0], minlength=1)
    large = counts[counts >= LEAST_OF_A_CLASS]
    return min(int(large.sum()), MOST_IMAGES) if len(large) > 1 else 0


def images_to_compare(labels: np.ndarray, paths: Sequence[str], seed: int) -> np.ndarray:
    """Return positions of images to compare, with the same number from each class if possible.

    Classes with fewer than four images are left out. The images of a class are drawn by a digest of
    their names: if a few labels change, or images are added or left out, most images stay the same.

    Args:
        labels: (N,) class indexes, -1 for none
        paths: (N,) files
        seed: another seed draws other images
    """
    if not images_compared(labels):
        return np.empty(0, np.int64)
    large = np.flatnonzero(np.bincount(labels[labels >= 0]) >= LEAST_OF_A_CLASS)
    most = MOST_IMAGES // LEAST_OF_A_CLASS
    if len(large) > most:
        large = np.sort(np.random.default_rng(seed).choice(large, most, replace=False))
    order = np.flatnonzero(np.isin(labels, large))
    order = np.array(sorted(order.tolist(), key=lambda i: _drawn(paths[i], seed)), np.int64)
    rank = np.empty(len(order), np.int64)  # how many images of its class come before it
    for label in large:
        own = labels[order] == label
        rank[own] = np.arange(own.sum())
    return np.sort(order[np.argsort(rank, kind="stable")[:MOST_IMAGES]])


def _drawn(path: str, seed: int) -> bytes:
    """Return a digest of a seed and of the end of a path, which stays if its folder is moved."""
    name = "/".join(path.replace(os.sep, "/").split("/")[-2:])
    text = f"{seed} {name}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=8).digest()


def comparison_work(recipe: Recipe, labels: np.ndarray) -> int:
    """Return how many forward passes of an image `settle_resize` needs, if none are kept.

    Args:
        recipe: any
        labels: (N,) class indexes, -1 for no label
    """
    count = images_compared(labels) if recipe.resize == AUTO else 0
    return count * len(RESIZES) if count >= LEAST_IMAGES else 0


def settle_resize(
    recipe: Recipe,
    paths: Sequence[str],
    labels: np.ndarray,
    device: str | None,
    decode_options: DecodeOptions = DEFAULT,
    report: Report = lambda done, total, message: None,
    otherwise: str = "crop",
    keep: Keep = keep_nothing,
) -> Recipe:
    """Return a recipe whose resize method is set.

    If `recipe.resize` is "auto", the methods are compared on the images (see `compare_resizes`),
    and the choice is printed.

    Args:
        recipe: any recipe
        paths, labels: of the training images
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        decode_options, report, keep: see `compare_resizes`
        otherwise: the method if there are too few images

    Raises:
        ValueError, FileNotFoundError, ConnectionError: if its weights cannot be loaded
    """
    if recipe.resize != AUTO:
        return recipe
    found = None
    if images_compared(labels) >= LEAST_IMAGES:
        # The features do not depend on the resize method of the network itself.
        network = FrozenLater(recipe.with_resize(RESIZES[0]), device)
        found = compare_resizes(paths, labels, network, recipe.seed, decode_options, report, keep)
    if found is None:
        print(f"resize={otherwise!r}: there are too few labeled images to compare resize methods")
        return replace(recipe, resize=otherwise)
    print(found)
    return replace(recipe, resize=found.resize)
