"""Choose how to resize images to squares for a pretrained network, by comparing its features."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from ..images.decode import DEFAULT, DecodeOptions, ImageError, decode
from ..images.geometry import RESIZES, smallest_side, to_square
from ..model.network import Network
from ..progress import Report
from ..review.linear import LeaveOneOut, leave_one_out
from .duration import LEAST_COMPARED as LEAST_IMAGES
from .duration import MOST_COMPARED as MOST_IMAGES
from .frozen import frozen_network
from .recipe import AUTO, Recipe

MOST_KNOWN = 16
LEAST_OF_A_CLASS = 4  # fewer images do not give a meaningful result
CHOOSING = "Comparing three ways to fit the images into the square that the network sees"
BATCH = 16
ALIKE = 0.02  # relative difference of the sides up to which an image counts as square


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
    network: Network,
    seed: int = 0,
    decode_options: DecodeOptions = DEFAULT,
    report: Report = lambda done, total, message: None,
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

    Returns:
        None if there are too few images: less than 40, or less than two classes of at least four
    """
    chosen = images_to_compare(labels, seed)
    if len(chosen) < LEAST_IMAGES:
        return None
    features, kept = features_by_way([paths[i] for i in chosen], network, decode_options, report)
    labels = labels[chosen][kept]
    if not len(labels) or len(images_to_compare(labels, seed)) < LEAST_IMAGES:
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


def images_to_compare(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return positions of images to compare, with the same number from each class if possible.

    Classes with fewer than four images are left out.
    """
    counts = np.bincount(labels[labels >= 0], minlength=1)
    large = np.flatnonzero(counts >= LEAST_OF_A_CLASS)
    if len(large) < 2:
        return np.empty(0, np.int64)
    random = np.random.default_rng(seed)
    most = MOST_IMAGES // LEAST_OF_A_CLASS
    if len(large) > most:
        large = np.sort(random.choice(large, most, replace=False))
    order = random.permutation(np.flatnonzero(np.isin(labels, large)))
    rank = np.empty(len(order), np.int64)  # how many images of its class come before it
    for label in large:
        own = labels[order] == label
        rank[own] = np.arange(own.sum())
    return np.sort(order[np.argsort(rank, kind="stable")[:MOST_IMAGES]])


def features_by_way(
    paths: list[str], network: Network, options: DecodeOptions, report: Report
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return features (n, C) for each method, and a mask (N,) bool of images that can be decoded.

    Args:
        paths: files
        network: computes the features
        options: which unusual files are decoded
        report: called to report progress
    """
    work = partial(_squares, size=network.image_size, options=options)
    rows: dict[str, list[np.ndarray]] = {way: [] for way in RESIZES}
    kept = np.zeros(len(paths), bool)
    all_square = True
    with ThreadPoolExecutor(os.cpu_count() or 1, "gradcam-resize") as pool:
        try:
            for start in range(0, len(paths), BATCH):
                squares = list(pool.map(work, paths[start : start + BATCH]))
                for place, one in enumerate(squares):
                    kept[start + place] = one is not None
                squares = [one for one in squares if one is not None]
                all_square = all_square and all("letterbox" not in one for one in squares)
                for way in RESIZES if squares else ():
                    rows[way].append(_pooled(network, squares, way, rows))
                report(start + BATCH, len(paths), CHOOSING)
        finally:
            pool.shutdown(cancel_futures=True)
    found = {way: np.concatenate(parts) for way, parts in rows.items() if parts}
    if all_square:
        found.pop("letterbox", None)
    return found, kept


def _pooled(
    network: Network, squares: list[dict[str, np.ndarray]], way: str, rows: dict[str, list]
) -> np.ndarray:
    """Return the features of a batch for a method, or those of "squash" if these are the same."""
    if all(way not in one for one in squares):
        return rows["squash"][-1]
    pixels = np.stack([one.get(way, one["squash"]) for one in squares])
    with torch.no_grad():
        inputs = network.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        target, _ = network.split(inputs)
    return target.mean((2, 3)).float().cpu().numpy()


def _squares(path: str, size: int, options: DecodeOptions) -> dict[str, np.ndarray] | None:
    """Decode an image once and resize it with each method; None if it cannot be decoded.

    A square image has no "letterbox", which would be the same as "squash".
    """
    try:
        image = decode(path, max(smallest_side(way, size) for way in RESIZES), options).image
    except ImageError:
        return None
    is_square = abs(image.width - image.height) <= ALIKE * max(image.size)
    ways = [way for way in RESIZES if not (is_square and way == "letterbox")]
    return {way: to_square(image, size, way) for way in ways}


# Results in this process: several verbs in a row need the same comparison.
_known: dict[str, Comparison] = {}


def comparison_work(recipe: Recipe, labels: np.ndarray) -> int:
    """Return how many forward passes of an image `settle_resize` needs.

    Args:
        recipe: any
        labels: (N,) class indexes, -1 for no label
    """
    count = len(images_to_compare(labels, recipe.seed)) if recipe.resize == AUTO else 0
    return count * len(RESIZES) if count >= LEAST_IMAGES else 0


def _key(recipe: Recipe, paths: Sequence[str], labels: np.ndarray, options: DecodeOptions) -> str:
    """Return a digest that identifies a comparison: the network, and the images as they are now."""
    facts = [recipe.backbone, recipe.weights, recipe.image_size, labels.tolist(), options]
    for path in (recipe.weights, *paths):
        try:
            stat = os.stat(path)
        except (OSError, ValueError):
            facts.append(path)
        else:
            facts.append((path, stat.st_size, stat.st_mtime_ns))
    text = repr(facts).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def settle_resize(
    recipe: Recipe,
    paths: Sequence[str],
    labels: np.ndarray,
    device: str | None,
    decode_options: DecodeOptions = DEFAULT,
    report: Report = lambda done, total, message: None,
    otherwise: str = "crop",
) -> Recipe:
    """Return a recipe whose resize method is set.

    If `recipe.resize` is "auto", the methods are compared on the images (see `compare_resizes`),
    and the choice is printed.

    Args:
        recipe: any recipe
        paths, labels: of the training images
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        decode_options, report: see `compare_resizes`
        otherwise: the method if there are too few images

    Raises:
        ValueError, FileNotFoundError, ConnectionError: if its weights cannot be loaded
    """
    if recipe.resize != AUTO:
        return recipe
    found = None
    if len(chosen := images_to_compare(labels, recipe.seed)) >= LEAST_IMAGES:
        key = _key(recipe, [paths[i] for i in chosen], labels[chosen], decode_options)
        found = _known.get(key)
        if found is None:
            network = frozen_network(recipe.with_resize(otherwise), device)
            found = compare_resizes(paths, labels, network, recipe.seed, decode_options, report)
        if found is not None:
            _known[key] = found
            if len(_known) > MOST_KNOWN:
                del _known[next(iter(_known))]
    if found is None:
        print(f"resize={otherwise!r}: there are too few labeled images to compare resize methods")
        return replace(recipe, resize=otherwise)
    print(found)
    return replace(recipe, resize=found.resize)
