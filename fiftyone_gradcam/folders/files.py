"""Which files of a folder may be images: told by their names, none is opened."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

SYSTEM = ("__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN", "lost+found")
# Files that are told by their names; what has another name is opened.
OTHERS = (
    "txt md rst csv tsv json jsonl xml yaml yml toml ini cfg log html htm css js py ipynb m mat "
    "npy npz pt pth onnx h5 hdf5 pkl pickle db sqlite lock zip tar gz tgz bz2 xz 7z rar pdf doc "
    "docx xls xlsx ppt pptx odt mp4 avi mov mkv webm mp3 wav exe dll so sh bat lnk url"
)
NO_IMAGES = frozenset(OTHERS.split())
MASKS = ("_mask", "_masks", "-mask", "_seg", "_segmentation", "_labelids")


@dataclass
class Found:
    """The files of a folder.

    Attributes:
        files: absolute paths of those that may be images, in order
        sizes: of these, in bytes
        skipped: (path, reason) of those that should be and cannot
        passed_over: number of those that are none, by reason
    """

    files: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    passed_over: Counter = field(default_factory=Counter)


def find_files(root: str, skip: tuple[str, ...] = ()) -> Found:
    """List a folder and all below it.

    Hidden files, those of operating systems, files of other kinds, and masks beside images are
    passed over.

    Args:
        root: absolute path of the folder
        skip: patterns of names, or of paths below the folder, to pass over too
    """
    found = Found()
    for folder, names in _walk(root, found):
        stems = {os.path.splitext(name)[0] for name in names}
        for name in names:
            path = os.path.join(folder, name)
            reason = _reason(name, os.path.relpath(path, root), stems, skip)
            if reason:
                found.passed_over[reason] += 1
                continue
            size = _size_or_problem(path)
            if isinstance(size, str):
                found.skipped.append((path.encode(errors="replace").decode(), size))
            else:
                found.files.append(path)
                found.sizes.append(size)
    return found


def _walk(root: str, found: Found) -> Iterator[tuple[str, list[str]]]:
    """Folders and their files, in order; links to folders are followed, each folder once."""
    seen = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not _is_hidden(name))
        for name in [name for name in subfolders if os.path.islink(os.path.join(folder, name))]:
            target = os.path.realpath(os.path.join(folder, name))
            if os.path.commonpath([target, os.path.realpath(root)]) == target:
                subfolders.remove(name)
                found.passed_over["links to a folder around this one"] += 1
        hidden = sum(map(_is_hidden, names))
        if hidden:
            found.passed_over["hidden or system files"] += hidden
        yield folder, sorted(name for name in names if not _is_hidden(name))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in SYSTEM


def _reason(name: str, path: str, stems: set[str], skip: tuple[str, ...]) -> str | None:
    """Why a file is passed over by its name; None if it is not."""
    for pattern in skip:
        if fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(path, pattern):
            return f"of the pattern {pattern!r}"
    stem, extension = os.path.splitext(name)
    if extension[1:].lower() in NO_IMAGES:
        return f"{extension.lower()} files"
    for ending in MASKS:
        if stem.lower().endswith(ending) and stem[: -len(ending)] in stems:
            return "masks beside images"
    return None


def _size_or_problem(path: str) -> int | str:
    """The size of a file, without opening it; or why it cannot be an image."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is no Unicode (rename it)"
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return "broken link"
    except OSError as error:
        return (error.strerror or "cannot be read").lower()
    if not stat.S_ISREG(about.st_mode):
        return "no regular file"
    return about.st_size or "empty file"
