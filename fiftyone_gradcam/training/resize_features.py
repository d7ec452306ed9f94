"""Features of images resized with each method, computed unless they are kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Protocol

import numpy as np
import torch

from ..images.decode import DecodeOptions, ImageError, decode
from ..images.geometry import RESIZES, smallest_side, to_square
from ..model.network import Network
from ..progress import Report, skip
from .frozen import FrozenLater

CHOOSING = "Choosing how to resize images: crop, squash or letterbox"
BATCH = 16
ALIKE = 0.02  # relative difference of the sides up to which an image counts as square


class KeptFeatures(Protocol):
    """Stored features of N images, by resize method."""

    def read(self) -> dict[str, np.ndarray]:
        """Return the stored features (N, C) of each method; NaN in missing rows, (N, 0) if none."""

    def add(self, positions: np.ndarray, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Store features (n, C) of the images at some positions; return them as `read` would."""


class NothingKept:
    """No stored features, and no place to store them.

    Args:
        network: the network of the features
        paths: the N files
    """

    def __init__(self, network: FrozenLater | Network, paths: Sequence[str]):
        self._count = len(paths)

    def read(self) -> dict[str, np.ndarray]:
        """See `KeptFeatures`."""
        return {way: np.empty((self._count, 0), np.float32) for way in RESIZES}

    def add(self, positions: np.ndarray, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `KeptFeatures`."""
        return values


Keep = Callable[[FrozenLater | Network, Sequence[str]], AbstractContextManager[KeptFeatures]]


@contextmanager
def keep_nothing(network: FrozenLater | Network, paths: Sequence[str]) -> Iterator[KeptFeatures]:
    """Yield `NothingKept`: features are neither read nor stored."""
    yield NothingKept(network, paths)


def features_by_way(
    paths: Sequence[str],
    network: FrozenLater | Network,
    options: DecodeOptions,
    report: Report,
    kept: KeptFeatures | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return features (n, C) for each method, and a mask (N,) bool of images that can be decoded.

    Args:
        paths: files
        network: computes the features that are not kept; it is loaded only if there are any
        options: which unusual files are decoded
        report: called to report progress
        kept: features of earlier comparisons; by default (None), none
    """
    kept = kept or NothingKept(network, paths)
    found = kept.read()
    is_there = np.all([_present(values) for values in found.values()], 0)
    lacking = np.flatnonzero(~is_there)
    if len(lacking):
        network = network.network if isinstance(network, FrozenLater) else network
    work = partial(_squares, size=network.image_size, options=options) if len(lacking) else None
    known = len(paths) - len(lacking)
    skip(report, known, len(paths))
    with ThreadPoolExecutor(os.cpu_count() or 1, "gradcam-resize") as pool:
        try:
            for start in range(0, len(lacking), BATCH):
                places = lacking[start : start + BATCH]
                squares = list(pool.map(work, [paths[i] for i in places]))
                places = np.array([i for i, x in zip(places, squares, strict=True) if x], np.int64)
                if len(places):
                    values = _pooled_by_way(network, [x for x in squares if x])
                    for way, rows in kept.add(places, values).items():
                        if found[way].shape[1] != rows.shape[1]:
                            found[way] = np.full((len(paths), rows.shape[1]), np.nan, np.float32)
                        found[way][places] = rows
                report(min(known + start + BATCH, len(paths)), len(paths), CHOOSING)
        finally:
            pool.shutdown(cancel_futures=True)
    is_there = np.all([_present(values) for values in found.values()], 0)
    found = {way: values[is_there] for way, values in found.items()}
    if np.array_equal(found["letterbox"], found["squash"]):  # all images are square
        found.pop("letterbox")
    return found, is_there


def _present(values: np.ndarray) -> np.ndarray:
    """Return (N,) booleans, True for rows of values (N, C) that are all finite."""
    return np.isfinite(values).all(1) if values.shape[1] else np.zeros(len(values), bool)


def _pooled_by_way(
    network: Network, squares: Sequence[dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return the features (n, C) of a batch for each method; see `_squares`."""
    found = {way: _pooled(network, [one[way] for one in squares]) for way in ("squash", "crop")}
    oblong = [place for place, one in enumerate(squares) if "letterbox" in one]
    found["letterbox"] = found["squash"].copy()
    if oblong:
        pixels = [squares[place]["letterbox"] for place in oblong]
        found["letterbox"][oblong] = _pooled(network, pixels)
    return found


def _pooled(network: Network, pixels: Sequence[np.ndarray]) -> np.ndarray:
    """Return the features (n, C) of n images (S, S, 3) uint8."""
    with torch.no_grad():
        inputs = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
        target, _ = network.split(network.normalize(inputs))
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
