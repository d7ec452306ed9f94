"""Find the image that a table cell refers to."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence

from .split_names import split_of


class Images:
    """Images below a folder, which can be found by their names in tables.

    Only these images can be found: no path leads out of the folder.

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
        """Return the images that a cell may refer to: none, one, or several if it is ambiguous.

        The cell may be a path relative to the table's folder or the root, an absolute path of
        another machine whose end is a path below the root, or the end of a path: a name, with or
        without extension. Case and Unicode normalization are ignored, unless they distinguish
        images.

        Args:
            cell: the text of the cell
            folder: folder of the table
            split: split of the image, which distinguishes images with the same name
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
        """Return the split given by a folder in the path of an image; None if there is none."""
        folders = os.path.relpath(file, self.root).split(os.sep)[:-1]
        return next(filter(None, map(split_of, folders)), None)

    def _below(self, folder: str | None) -> str:
        """Return a folder's path relative to the root; "" if none is given."""
        return "" if folder is None else os.path.relpath(folder, self.root).replace(os.sep, "/")

    def _likeliest(self, found: list[int], cell: str, base: str, split: str | None) -> list[int]:
        """Select from several images: an exact match, then the same folder, then the same split.

        A criterion that no image meets is ignored.
        """
        for fits in (
            lambda i: _ends_with(self._paths[i], cell),
            lambda i: self._paths[i].startswith(f"{base}/"),
            lambda i: split is not None and self.folder_split(self.files[i]) == split,
        ):
            fitting = [i for i in found if fits(i)]
            found = fitting or found
            if len(found) == 1:
                break
        return found


class _Index:
    """Index of paths by the whole path, the last part, and the last two parts."""

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
        """Return positions of the paths that these parts refer to (see `Images.find`)."""
        path = "/".join(parts)
        if base:
            inside = base.split("/")
            if goes_up:  # one level is enough, because the path is inside the root in any case
                inside = inside[:-1]
            if found := self.whole.get("/".join([*inside, path])):
                return found
        for start in range(len(parts)):
            if found := self.whole.get("/".join(parts[start:])):
                return found
        nearby = self.ends.get("/".join(parts[-2:]), [])
        return [i for i in nearby if self.paths[i].endswith(f"/{path}")]


def _parts(path: str) -> list[str]:
    """Return the parts of a path, with "." and ".." resolved."""
    parts: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del parts[-1:]
        elif name.strip() not in ("", "."):
            parts.append(name)
    return parts


def _key(text: str) -> str:
    """Return a key that is equal for all spellings of a path."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text.casefold())


def _ends_with(path: str, cell: str) -> bool:
    """Return whether one text ends with the other, with or without the path's extension.

    Case matters here.
    """
    path, cell = (unicodedata.normalize("NFC", text) for text in (path, cell))
    wholes = [f"/{whole}" for whole in (path, os.path.splitext(path)[0])]
    return any(whole.endswith(f"/{cell}") or f"/{cell}".endswith(whole) for whole in wholes)
