"""Validation images that are training images too: their accuracy says nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..folders.verify import digest_of
from .duplicates import Leak, near_duplicates, same_content

# What the new layers see of images (n, C), and the positions (n,) of these in their list.
Averages = tuple[np.ndarray, np.ndarray]


def leaks_between(
    train_paths: Sequence[str],
    val_paths: Sequence[str],
    features: tuple[Averages, Averages] | None = None,
) -> list[Leak]:
    """Find validation images that are training images too.

    Args:
        train_paths, val_paths: image files
        features: of both (see `Trained.features`); without, only equal files are found

    Returns:
        at most one for each validation image, equal files first, then the most similar
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
    """What equal files have in common; None of a file that no other is as large as."""
    sizes = [_size(path) for path in paths]
    counts = Counter(sizes)
    return [
        _digest(path) if counts[size] > 1 else None for path, size in zip(paths, sizes, strict=True)
    ]


def _digests(*lists: Sequence[str]) -> list[list[str]]:
    """What tells the files of lists apart. A file is read only if another list has one as large."""
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
    """Bytes of a file; -1 for one that cannot be read, which is reported elsewhere."""
    try:
        return os.path.getsize(path)
    except OSError:
        return -1


def _digest(path: str) -> str:
    return digest_of(path) or f"unreadable: {path}"
