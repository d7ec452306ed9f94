"""How images are best made square for a pretrained network: compared by its own features."""

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
from .frozen import frozen_network
from .recipe import AUTO, Recipe

MOST_IMAGES = 300
MOST_KNOWN = 16
LEAST_IMAGES, LEAST_OF_A_CLASS = 40, 4  # fewer say nothing
BATCH = 16
ALIKE = 0.02  # how far from a square an image may be, for squash and letterbox to be the same


@dataclass(frozen=True)
class Comparison:
    """What was found of the ways to make images square.

    Attributes:
        resize: the best
        found: by way; "letterbox" is left out where images are square
        images: how many were compared
    """

    resize: str
    found: dict[str, LeaveOneOut]
    images: int

    def __str__(self) -> str:
        others = (f"{way} {one.accuracy:.3f}" for way, one in self.found.items())
        return (
            f"resize={self.resize!r} is chosen, by the leave-one-out accuracy of a linear "
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
    """Compare the ways to make images square, on features of at most 300 images.

    The way of the highest leave-one-out accuracy wins; ways that are not surely worse (by one
    standard error of the difference of two) are compared by the squared error, which says more
    about few images.

    Args:
        paths, labels: (N,) files and class indexes, -1 for none
        network: whose features are compared; its own way does not matter
        seed: of the images, as many of each class as there are
        decode_options: which unusual files are decoded
        report: of how far it is

    Returns:
        None if there are too few images to say: less than 40, or less than two classes of four
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
    """The best of some ways: see `compare_resizes`."""
    first = max(found, key=lambda way: (found[way].accuracy, -found[way].error))
    rest = [way for way in found if not _is_worse(found[way], found[first])]
    return min(rest, key=lambda way: found[way].error)


def _is_worse(one: LeaveOneOut, best: LeaveOneOut) -> bool:
    """Whether one is less accurate than the best by more than a standard error."""
    difference = best.correct.astype(np.float64) - one.correct
    return difference.mean() > difference.std() / np.sqrt(len(difference))


def images_to_compare(labels: np.ndarray, seed: int) -> np.ndarray:
    """Positions of images to compare, as many of each class as there are; classes of few images
    are left out."""
    counts = np.bincount(labels[labels >= 0], minlength=1)
    large = np.flatnonzero(counts >= LEAST_OF_A_CLASS)
    if len(large) < 2:
        return np.empty(0, np.int64)
    random = np.random.default_rng(seed)
    most = MOST_IMAGES // LEAST_OF_A_CLASS
    if len(large) > most:
        large = np.sort(random.choice(large, most, replace=False))
    order = random.permutation(np.flatnonzero(np.isin(labels, large)))
    rank = np.empty(len(order), np.int64)  # how many of its class were drawn before
    for label in large:
        own = labels[order] == label
        rank[own] = np.arange(own.sum())
    return np.sort(order[np.argsort(rank, kind="stable")[:MOST_IMAGES]])


def features_by_way(
    paths: list[str], network: Network, options: DecodeOptions, report: Report
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features (n, C) by each way, and which images could be decoded, (N,) bool.

    Args:
        paths: files
        network: that sees them
        options: which unusual files are decoded
        report: of how far it is
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
                report(start + BATCH, len(paths), "Comparing ways to make images square")
        finally:
            pool.shutdown(cancel_futures=True)
    found = {way: np.concatenate(parts) for way, parts in rows.items() if parts}
    if all_square:
        found.pop("letterbox", None)
    return found, kept


def _pooled(
    network: Network, squares: list[dict[str, np.ndarray]], way: str, rows: dict[str, list]
) -> np.ndarray:
    """Features of a batch by a way; what is the same as another way is not computed again."""
    if all(way not in one for one in squares):
        return rows["squash"][-1]
    pixels = np.stack([one.get(way, one["squash"]) for one in squares])
    with torch.no_grad():
        inputs = network.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        target, _ = network.split(inputs)
    return target.mean((2, 3)).float().cpu().numpy()


def _squares(path: str, size: int, options: DecodeOptions) -> dict[str, np.ndarray] | None:
    """An image made square by each way, decoded once; None if it cannot be.

    A square image has no "letterbox": that is the same as to squash it.
    """
    try:
        image = decode(path, max(smallest_side(way, size) for way in RESIZES), options).image
    except ImageError:
        return None
    is_square = abs(image.width - image.height) <= ALIKE * max(image.size)
    ways = [way for way in RESIZES if not (is_square and way == "letterbox")]
    return {way: to_square(image, size, way) for way in ways}


# What was found in this process: a verb that follows another asks the same.
_known: dict[str, Comparison] = {}


def _key(recipe: Recipe, paths: Sequence[str], labels: np.ndarray, options: DecodeOptions) -> str:
    """Tells comparisons apart: by network, and by the images as they are now."""
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
    """A recipe whose way to make images square is named: where that was left to the images, they
    are compared (see `compare_resizes`), and what is chosen is printed.

    Args:
        recipe: any
        paths, labels: of the images to train on
        device: such as "cpu" or "cuda"; None picks
        decode_options, report: see `compare_resizes`
        otherwise: what is chosen where images are too few

    Raises:
        ValueError, FileNotFoundError, ConnectionError: if its weights cannot be had
    """
    if recipe.resize != AUTO:
        return recipe
    found = None
    if len(chosen := images_to_compare(labels, recipe.seed)) >= LEAST_IMAGES:
        key = _key(recipe, [paths[i] for i in chosen], labels[chosen], decode_options)
        found = _known.get(key)
        if found is None:
            network = frozen_network(recipe.shown_by(otherwise), device)
            found = compare_resizes(paths, labels, network, recipe.seed, decode_options, report)
        if found is not None:
            _known[key] = found
            if len(_known) > MOST_KNOWN:
                del _known[next(iter(_known))]
    if found is None:
        print(f"resize={otherwise!r}: there are too few labeled images to compare ways")
        return replace(recipe, resize=otherwise)
    print(found)
    return replace(recipe, resize=found.resize)
