"""Leaks: validation images that are also training images, which inflate the accuracy."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..folders.verify import digest_of
from .duplicates import Leak, near_duplicates, same_content

# Averaged features of images (n, C), and the positions (n,) of these images in their list.
Averages = tuple[np.ndarray, np.ndarray]


def leaks_between(
    train_paths: Sequence[str],
    val_paths: Sequence[str],
    features: tuple[Averages, Averages] | None = None,
) -> list[Leak]:
    """Find validation images that are also training images.

    Args:
        train_paths, val_paths: image files
        features: of both (see `Trained.features`); without them, only equal files are found

    Returns:
        at most one leak for each validation image, equal files first, then the most similar
    """
    pairs = same_content(*_digests(train_paths, val_paths))
    leaks = [Leak(train_paths[i], val_paths[j], "exact") for i, j in pairs]
    if features is None:
        return leaks
    (train_rows, train_positions), (val_rows, val_positions) = features
    known = set(pairs[:, 1])
    for i, j in near_duplicates(train_rows, val_rows)[0]:
        position = int(val_positions[j])
        if position not in known:
            known.add(position)
            train_path = train_paths[int(train_positions[i])]
            leaks.append(Leak(train_path, val_paths[position], "near"))
    return leaks


def equal_files(paths: Sequence[str]) -> list[str | None]:
    """Return a digest of each file that may have an equal one; None for files of unique size."""
    sizes = [_size(path) for path in paths]
    counts = Counter(sizes)
    return [
        _digest(path) if counts[size] > 1 else None for path, size in zip(paths, sizes, strict=True)
    ]


def _digests(*lists: Sequence[str]) -> list[list[str]]:
    """Return digests of the files of several lists; only files of a common size are read."""
    sizes = [[_size(path) for path in paths] for paths in lists]
    shared = set.intersection(*map(set, sizes))
    return [
        [
            _digest(path) if size in shared else f"alone: {path}"
            for path, size in zip(paths, own, strict=True)
        ]
        for paths, own in zip(lists, sizes, strict=True)
    ]


def _size(path: str) -> int:
    """Return the size of a file in bytes; -1 if it cannot be read, which is reported elsewhere."""
    try:
        return os.path.getsize(path)
    except OSError:
        return -1


def _digest(path: str) -> str:
    return digest_of(path) or f"unreadable: {path}"
