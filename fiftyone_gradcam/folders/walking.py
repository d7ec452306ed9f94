"""Walk through a folder: follow links once, avoid loops, and stop in folders without images."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice

SYSTEM = ("__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN", "lost+found")
KNOWN = "jpg jpeg jpe jfif png gif bmp dib webp tif tiff ppm pgm pbm avif heic heif jp2 ico tga dcm"
IMAGES = frozenset(KNOWN.split())
# Files that may accompany images, several for each image.
LABELS = {"txt", "xml", "json", "csv", "npy", "npz", "mat"}
# After this number of files, one in ten (labels excluded) must be an image, or images must be in
# the next folders.
FIRST, ONE_IN = 100_000, 10
PEEK_FOLDERS, PEEK_FILES = 1000, 20
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")


_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def interruptible(check: Callable[[], None]) -> Iterator[None]:
    """Call a function before each folder that is read in this context; it may raise an error."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def check_interrupted() -> None:
    """Raise the error of the function that was passed to `interruptible`, if it raises one."""
    if (check := _check.get()) is not None:
        check()


@dataclass
class Walk:
    """Content of a folder.

    Attributes:
        folders: (path, names of its files), sorted, a folder before those in it
        links: (folder that is a link, its target) for links that were followed
        repeated: (folder that is a link, the same folder inside the root), not followed
        around: links to a folder that contains the root, not followed
        closed: (folder, reason) for folders that cannot be read
        hidden: number of hidden and system files
        linked_files: files that are links
        stopped_after: number of files without images after which the walk was stopped
    """

    folders: list[tuple[str, list[str]]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    repeated: list[tuple[str, str]] = field(default_factory=list)
    around: list[str] = field(default_factory=list)
    closed: list[tuple[str, str]] = field(default_factory=list)
    hidden: int = 0
    linked_files: set[str] = field(default_factory=set)
    stopped_after: int | None = None


def walk(root: str) -> Walk:
    """List the files in a folder and below it.

    Links to folders are followed last, each target once, so that a file inside the folder is found
    at its own path. The walk stops if hardly any of its first 100,000 files are images and the next
    folders do not contain any.

    Args:
        root: absolute path of the folder
    """
    found = Walk()
    real = os.path.realpath(root)
    seen, top = {real: root}, real
    pending, links, counted = deque([(root, real)]), [], Counter()
    while pending or links:
        if not pending:
            link = links.pop(0)
            try:
                target = os.path.realpath(link)
            except OSError as error:  # deleted in the meantime
                found.closed.append((link, f"a link that leads nowhere ({error.strerror})"))
                continue
            if any(_holds(target, here) for here in (top, os.path.realpath(os.path.dirname(link)))):
                found.around.append(link)
                continue
            if target in seen:
                found.repeated.append((link, seen[target]))
                continue
            found.links.append((link, target))
            seen[target] = link
            pending.append((link, target))
        check_interrupted()
        folder, real = pending.popleft()
        names = _read(folder, real, found, pending, links, seen)
        found.folders.append((folder, names))
        counted["files"] += len(names)
        extensions = Counter(os.path.splitext(name)[1][1:].lower() for name in names)
        counted["images"] += sum(extensions[known] for known in IMAGES)
        counted["labels"] += sum(extensions[known] for known in LABELS)
        if counted["files"] >= FIRST * (counted["checks"] + 1):
            counted["checks"] += 1
            images, others = counted["images"], counted["files"] - counted["labels"]
            if (not images or images * ONE_IN < others) and not _are_to_come(found, pending):
                found.stopped_after = counted["files"]
                break
    found.folders.sort(key=lambda pair: pair[0].split(os.sep))
    found.links.sort()
    return found


def _read(
    folder: str, real: str, found: Walk, pending: deque, links: list[str], seen: dict[str, str]
) -> list[str]:
    """Read a folder: return its files, and add its folders to those that are read later."""
    try:
        with os.scandir(folder) as there:
            entries = sorted(there, key=lambda entry: entry.name)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        found.closed.append((folder, f"a folder that cannot be opened ({reason})"))
        return []
    names = []
    for entry in entries:
        is_hidden = entry.name.startswith(".") or entry.name in SYSTEM
        is_folder, is_link = _kind(entry)
        if is_folder and is_hidden:
            continue
        if is_folder and is_link:
            links.append(entry.path)
        elif is_folder:
            inner = os.path.join(real, entry.name)
            if inner in seen:  # already read through a link
                found.repeated.append((entry.path, seen[inner]))
            else:
                seen[inner] = entry.path
                pending.append((entry.path, inner))
        elif is_hidden:
            found.hidden += 1
        else:
            names.append(entry.name)
            if is_link:
                found.linked_files.add(entry.path)
    return names


def _kind(entry: os.DirEntry) -> tuple[bool, bool]:
    """Return whether an entry is a folder, and whether it is a link."""
    try:
        return entry.is_dir(), entry.is_symlink()
    except OSError:  # a link to itself
        return False, True


def _holds(folder: str, other: str) -> bool:
    return os.path.commonpath([folder, other]) == folder


def _is_named_image(name: str) -> bool:
    return os.path.splitext(name)[1][1:].lower() in IMAGES


def _are_to_come(found: Walk, pending: deque) -> bool:
    """Return whether the next folders contain images, or files are images by their content."""
    peeked = images = 0
    folders = deque(folder for folder, _ in pending)
    for _ in range(PEEK_FOLDERS):
        if not folders:
            break
        try:
            with os.scandir(folders.popleft()) as there:
                entries = list(islice(there, PEEK_FILES))
        except OSError:
            continue
        folders.extend(entry.path for entry in entries if _kind(entry) == (True, False))
        names = [entry.name for entry in entries if "." in entry.name]
        peeked += len(names)
        images += sum(map(_is_named_image, names))
    if images * ONE_IN > peeked:
        return True
    bare = [
        os.path.join(folder, name)
        for folder, names in found.folders
        for name in names
        if not os.path.splitext(name)[1]
    ]
    sample = bare[:: max(1, len(bare) // 100)]
    return sum(map(_begins_as_image, sample)) * ONE_IN > len(sample)


def _begins_as_image(path: str) -> bool:
    try:
        if not os.path.isfile(path):  # reading a pipe or device would block
            return False
        with open(path, "rb") as file:
            return file.read(8).startswith(SIGNATURES)
    except OSError:
        return False
