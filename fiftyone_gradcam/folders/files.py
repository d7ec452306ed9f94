"""Which files of a folder may be images: recognized by their names; none is opened."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections import Counter
from dataclasses import dataclass, field

from .walking import Walk, walk

# Files that are recognized by their names; what has another name is opened.
OTHERS = (
    "txt md rst csv tsv json jsonl xml yaml yml toml ini cfg log html htm css js py ipynb m mat "
    "npy npz pt pth onnx h5 hdf5 pkl pickle db sqlite lock pdf doc "
    "docx xls xlsx ppt pptx odt mp4 avi mov mkv webm mp3 wav exe dll so sh bat lnk url"
)
PACKED = "zip tar gz tgz bz2 tbz2 xz txz zst 7z rar"
ARCHIVES = frozenset(PACKED.split())
NO_IMAGES = frozenset(OTHERS.split()) | ARCHIVES
MOST_LINKS = 20  # named


@dataclass
class Found:
    """The files of a folder.

    Attributes:
        files: absolute paths of those that may be images, in order
        sizes: of these, in bytes
        skipped: (path, reason) of those that should be and cannot
        passed_over: number of those that are none, by reason
        archives: paths of those that may hold images, packed
        same: groups of paths of one file that stands at several, through links
        notes: what a person should know of the folders
        stopped: why no file is listed, of a folder of a hundred thousand others
    """

    files: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    passed_over: Counter = field(default_factory=Counter)
    archives: list[str] = field(default_factory=list)
    same: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: str | None = None


def find_files(root: str, skip: tuple[str, ...] = ()) -> Found:
    """List a folder and all below it.

    Hidden files, those of operating systems and files of other kinds are passed over. Links to
    folders are followed once (see `walking`).

    Args:
        root: absolute path of the folder
        skip: patterns of names, or of paths below the folder, to pass over too
    """
    walked = walk(root)
    found = Found(skipped=list(walked.closed))
    if walked.hidden:
        found.passed_over["hidden or system files"] = walked.hidden
    if walked.stopped_after:
        found.stopped = (
            f"Stopped after {walked.stopped_after} files, of which hardly any is an image. Give "
            f"the folder that holds the images"
        )
        return found
    inodes: list[int] = []
    linked: set[int] = set()  # those of them that may be another's
    for folder, names in walked.folders:
        for name in names:
            path = os.path.join(folder, name)
            reason = _reason(name, os.path.relpath(path, root), skip)
            if reason:
                found.passed_over[reason] += 1
                if os.path.splitext(name)[1][1:].lower() in ARCHIVES:
                    found.archives.append(path)
                continue
            about = _about(path)
            if isinstance(about, str):
                found.skipped.append((path.encode(errors="replace").decode(), about))
                continue
            found.files.append(path)
            found.sizes.append(about.st_size)
            inodes.append(about.st_ino)
            if about.st_nlink > 1 or path in walked.linked_files:
                linked.add(about.st_ino)
    found.same = _same(found.files, inodes, linked)
    _tell_links(found, walked, root)
    return found


def _tell_links(found: Found, walked: Walk, root: str) -> None:
    """Name the links to folders, followed or not."""
    linked = [
        f"{os.path.relpath(link, root)} is a link to {target}, which is read"
        for link, target in walked.links
    ]
    for link, own in walked.repeated:
        found.passed_over["links to a folder that is read already"] += 1
        linked.append(
            f"{os.path.relpath(link, root)} is the same folder as {os.path.relpath(own, root)}, "
            f"through a link: its files are taken once, from {os.path.relpath(own, root)}"
        )
    found.notes += linked[:MOST_LINKS]
    if len(linked) > MOST_LINKS:
        found.notes.append(f"{len(linked) - MOST_LINKS} more folders are links")
    if walked.around:
        found.passed_over["links to a folder around this one"] = len(walked.around)


def _reason(name: str, path: str, skip: tuple[str, ...]) -> str | None:
    """Why a file is passed over by its name; None if it is not."""
    for pattern in skip:
        if fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(path, pattern):
            return f"of the pattern {pattern!r}"
    extension = os.path.splitext(name)[1]
    return f"{extension.lower()} files" if extension[1:].lower() in NO_IMAGES else None


def _about(path: str) -> os.stat_result | str:
    """What the system says of a file, without opening it; or why it cannot be an image."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not Unicode (rename it)"
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return "broken link"
    except OSError as error:
        return (error.strerror or "cannot be read").lower()
    if not stat.S_ISREG(about.st_mode):
        return "no regular file"
    return about if about.st_size else "empty file"


def _same(files: list[str], inodes: list[int], linked: set[int]) -> list[list[str]]:
    """Groups of paths that are one file, by what the system says of those that are linked."""
    groups: dict[int, list[str]] = {}
    for path, inode in zip(files, inodes, strict=True):
        if inode in linked:
            groups.setdefault(inode, []).append(path)
    # Two disks may give two files one number.
    same = ([p for p in group if _is_same(p, group[0])] for group in groups.values())
    return [group for group in same if len(group) > 1]


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # gone meanwhile
        return False
