"""Moved files, recognized by their content and not only by their names."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple


class Trace(NamedTuple):
    """A file: absolute path, size in bytes, and digest, equal for equal files.

    Size and digest are None if unknown.
    """

    path: str
    size: int | None
    digest: str | None


def moved_path(path: str, old: str, new: str) -> str | None:
    """Return the new path of a file after a folder was moved; None if it was not in the folder."""
    tail = _tail(path, old)
    return None if tail is None else os.path.normpath(os.path.join(new, tail))


def recognize(
    gone: Sequence[Trace], found: Sequence[Trace], old_root: str, new_root: str
) -> dict[str, str]:
    """Find missing files among existing files.

    Files are the same if their content is. If the content of a missing file is unknown, it is a
    file with the same path below the root and the same size, or the only file with its name and a
    size that no other file has.

    Args:
        gone: files that no longer exist
        found: files that they may be now; their digests are known
        old_root, new_root: folders that they were imported from, before and now

    Returns:
        new paths by old paths, all different
    """
    pairs: dict[str, str] = {}
    by_digest = defaultdict(list)
    for trace in found:
        by_digest[trace.digest].append(trace.path)
    groups = defaultdict(list)
    for trace in gone:
        if trace.digest is not None and trace.digest in by_digest:
            groups[trace.digest].append(trace.path)
    for digest, paths in groups.items():
        pairs |= _paired(paths, by_digest[digest], old_root, new_root)
    taken = set(pairs.values())
    rest = [trace for trace in found if trace.path not in taken]
    places = {(_tail(trace.path, new_root), trace.size): trace.path for trace in rest}
    names = {(os.path.basename(trace.path), trace.size): trace.path for trace in rest}
    then, now = (Counter(trace.size for trace in traces) for traces in (gone, rest))
    for trace in gone:
        if trace.digest is not None or trace.size is None:
            continue
        path = places.get((_tail(trace.path, old_root), trace.size))
        if path is None and then[trace.size] == now[trace.size] == 1:
            path = names.get((os.path.basename(trace.path), trace.size))
        if path is not None and path not in taken:
            taken.add(path)
            pairs[trace.path] = path
    return pairs


def _paired(gone: list[str], found: list[str], old_root: str, new_root: str) -> dict[str, str]:
    """Pair equal files: first those with the same path, then with the same name, then in order."""
    pairs, left = {}, list(found)
    for of_old, of_new in (
        (lambda path: _tail(path, old_root), lambda path: _tail(path, new_root)),
        (os.path.basename, os.path.basename),
        (lambda path: "", lambda path: ""),
    ):
        places = defaultdict(list)
        for path in reversed(left):
            places[of_new(path)].append(path)
        for path in gone:
            if path not in pairs and places[of_old(path)]:
                pairs[path] = places[of_old(path)].pop()
        taken = set(pairs.values())
        left = [path for path in left if path not in taken]
    return pairs


def _tail(path: str, root: str) -> str | None:
    """Return a path relative to a folder; None if it is not below the folder."""
    if path == root:
        return ""
    below = os.path.join(root, "")
    return path[len(below) :] if path.startswith(below) else None
