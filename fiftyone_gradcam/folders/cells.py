"""Which image a cell of a table names."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence

from .split_names import split_of


class Images:
    """The images below a folder, to be found by what tables call them.

    Nothing else is ever found: no path leads out of the folder.

    Args:
        root: absolute path of the folder
        files: absolute paths of the images
    """

    def __init__(self, root: str, files: Sequence[str]):
        self.root, self.files = root, files
        self._paths = [os.path.relpath(file, root).replace(os.sep, "/") for file in files]
        self._whole: _Index | None = None
        self._stems: _Index | None = None

    def find(self, cell: str, folder: str | None = None, split: str | None = None) -> list[str]:
        """The images that a cell may mean: none, one, or several if it does not say which.

        The cell may be a path below the table's folder or the root, an absolute one of another
        machine whose tail is a path below the root, or the end of a path: a name, with or without
        extension. Case and the ways to write accents do not matter, if only one image is meant.

        Args:
            cell: what stands in the table
            folder: of the table
            split: that the image is of, which parts those of the same name
        """
        plain = cell.replace("\\", "/")
        parts = _parts(plain)
        if not parts or plain.endswith("/"):
            return []
        base = self._below(folder)
        keys = [_key(part) for part in parts]
        if self._whole is None:
            self._whole = _Index([_key(path) for path in self._paths])
        found = self._whole.find(keys, _key(base), plain.startswith(".."))
        if not found:
            if self._stems is None:
                stems = [os.path.splitext(path)[0] for path in self._paths]
                self._stems = _Index([_key(stem) for stem in stems])
            found = self._stems.find(keys, _key(base), plain.startswith(".."))
        if len(found) > 1:
            found = self._likeliest(found, "/".join(parts), base, split)
        return [self.files[i] for i in found]

    def folder_split(self, file: str) -> str | None:
        """The split that a folder on the way to an image says."""
        folders = os.path.relpath(file, self.root).split(os.sep)[:-1]
        return next(filter(None, map(split_of, folders)), None)

    def _below(self, folder: str | None) -> str:
        """A folder as a path below the root; "" for the root and for what is elsewhere."""
        if folder is None:
            return ""
        path = os.path.relpath(folder, self.root).replace(os.sep, "/")
        return "" if path == "." or path.startswith("..") else path

    def _likeliest(self, found: list[int], cell: str, base: str, split: str | None) -> list[int]:
        """Of several images those that are written exactly so, lie by the table, or are of its
        split; as far as that leaves any."""
        for fits in (
            lambda i: _ends_with(self._paths[i], cell),
            lambda i: bool(base) and self._paths[i].startswith(f"{base}/"),
            lambda i: split is not None and self.folder_split(self.files[i]) == split,
        ):
            fitting = [i for i in found if fits(i)]
            found = fitting or found
            if len(found) == 1:
                break
        return found


class _Index:
    """Paths by all of them, their last part and their last two parts."""

    def __init__(self, paths: Sequence[str]):
        self.paths = paths
        self.whole: dict[str, list[int]] = {}
        self.ends: dict[str, list[int]] = {}
        for i, path in enumerate(paths):
            self.whole.setdefault(path, []).append(i)
            parts = path.rsplit("/", 2)
            self.ends.setdefault(parts[-1], []).append(i)
            if len(parts) > 1:
                self.ends.setdefault("/".join(parts[-2:]), []).append(i)

    def find(self, parts: list[str], base: str, goes_up: bool) -> list[int]:
        """Places of the paths that these parts name: see `Images.find`."""
        path = "/".join(parts)
        if base:
            inside = base.split("/")
            if goes_up:  # how often does not matter: it is inside the root in any case
                inside = inside[:-1]
            if found := self.whole.get("/".join([*inside, path])):
                return found
        for start in range(len(parts)):
            if found := self.whole.get("/".join(parts[start:])):
                return found
        nearby = self.ends.get("/".join(parts[-2:]), [])
        return [i for i in nearby if len(parts) < 3 or self.paths[i].endswith(f"/{path}")]


def _parts(path: str) -> list[str]:
    """Names of a path, without those that only lead about."""
    parts: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del parts[-1:]
        elif name.strip() not in ("", "."):
            parts.append(name)
    return parts


def _key(text: str) -> str:
    """What is the same in all spellings of a path."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text.casefold())


def _ends_with(path: str, cell: str) -> bool:
    """Whether one ends with the other, case and all, with or without the path's extension."""
    path, cell = (unicodedata.normalize("NFC", text) for text in (path, cell))
    wholes = [f"/{whole}" for whole in (path, os.path.splitext(path)[0])]
    return any(whole.endswith(f"/{cell}") or f"/{cell}".endswith(whole) for whole in wholes)
