"""Find the images most similar to one, by the features that are stored with the dataset.

No features of other images are computed, and nothing is written.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

import fiftyone as fo
import numpy as np
from bson import ObjectId

from ..review.kernel import signed_roots
from .feature_files import ENDING, feature_files
from .feature_sources import Source, folder_of
from .import_record import decode_options
from .kept_features import keys_of

AT_ONCE = 64  # candidates in one database query
MOST_ASKED = 16  # maximum number of queries


@dataclass(frozen=True)
class Kept:
    """The stored features of a dataset from one source, prepared for comparison.

    Attributes:
        keys: the key of each row; its first 12 bytes are the id of the sample
        mean, deviation: (C,) mean and standard deviation of the signed roots of the features
        directions: (N, C) float32, the standardized roots, scaled to length 1
    """

    keys: list[bytes]
    mean: np.ndarray
    deviation: np.ndarray
    directions: np.ndarray

    def like(self, features: np.ndarray) -> np.ndarray:
        """Return the cosine similarity (N,) of each row with the features (C,) of an image."""
        return self.directions @ _standardized(signed_roots(features), self.mean, self.deviation)


_last: dict[tuple, Kept] = {}
_lock = threading.Lock()


def kept_of(dataset: fo.Dataset, source: Source) -> Kept | None:
    """Return the stored features of a source, the newest row of each sample; None if none exist.

    The features read last are kept in memory.
    """
    folder = folder_of(dataset, source)
    try:
        names = tuple(sorted(name for name in os.listdir(folder) if name.endswith(ENDING)))
    except OSError:
        return None
    with _lock:
        found = _last.get((folder, names))
        if found is None and (found := _read(folder)) is not None:
            _last.clear()
            _last[folder, names] = found
        return found


def nearest_kept(
    dataset: fo.Dataset,
    source: Source,
    features: np.ndarray,
    sample_id: str,
    count: int,
    tag: str | None = None,
) -> list[tuple[str, float]] | None:
    """Return the samples most similar to an image, the nearest first.

    Samples whose files have changed since their features were computed are left out.

    Args:
        dataset: the dataset that the features are stored with
        source: the source of `features`
        features: (C,) features of the image
        sample_id: the id of the image itself, which is left out
        count: the maximum number of samples
        tag: return only samples with this tag; by default (None), all

    Returns:
        pairs of a sample id and a cosine similarity; None if no features of this source are stored
    """
    kept = kept_of(dataset, source)
    if kept is None or kept.directions.shape[1] != len(features):
        return None
    cosines = kept.like(features)
    order = np.argsort(-cosines, kind="stable")
    found: list[tuple[str, float]] = []
    options = decode_options(dataset)
    for start in range(0, min(len(order), AT_ONCE * MOST_ASKED), AT_ONCE):
        rows = order[start : start + AT_ONCE]
        ids = [kept.keys[row][:12].hex() for row in rows]
        asked = {"_id": {"$in": [ObjectId(i) for i in ids]}} | ({"tags": tag} if tag else {})
        there = {
            str(row["_id"]): row["filepath"]
            for row in dataset._sample_collection.find(asked, ["filepath"])
        }
        for sample, row in zip(ids, rows, strict=True):
            if sample in there and sample != sample_id:
                (key,) = keys_of([sample], [there[sample]], options)
                if key == kept.keys[row]:
                    found.append((sample, float(cosines[row])))
            if len(found) == count:
                return found
    return found


def _read(folder: str) -> Kept | None:
    keys: dict[bytes, tuple[bytes, np.ndarray]] = {}
    width = 0
    for file in feature_files(folder):  # the newest first
        width = width or file.values.shape[1]
        if file.values.shape[1] != width:
            continue
        values = file.rows(np.arange(len(file.records)))
        for key, row in zip(file.keys(), values, strict=True):
            keys.setdefault(key[:12], (key, row))
    if not keys:
        return None
    roots = signed_roots(np.stack([row for _, row in keys.values()]))
    mean, deviation = roots.mean(0), roots.std(0)
    # A constant feature carries no information, and dividing by its deviation would amplify noise.
    deviation[deviation <= 1e-6 * max(float(deviation.max()), 1e-30)] = np.inf
    directions = _standardized(roots, mean, deviation)
    return Kept([key for key, _ in keys.values()], mean, deviation, directions)


def _standardized(roots: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    found = ((roots - mean) / deviation).astype(np.float32)
    return found / np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-30)
