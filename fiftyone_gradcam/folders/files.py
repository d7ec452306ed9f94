"""Find files that may be images by their names, without opening them."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections import Counter
from dataclasses import dataclass, field

from ..progress import counted
from .walking import Walk, check_interrupted, walk

# Extensions of files that are not images; files with other extensions are opened.
OTHERS = (
    "txt md rst csv tsv json jsonl xml yaml yml toml ini cfg log html htm css js py ipynb m mat "
    "npy npz pt pth onnx h5 hdf5 pkl pickle db sqlite lock pdf doc "
    "docx xls xlsx ppt pptx odt mp4 avi mov mkv webm mp3 wav exe dll so sh bat lnk url"
)
PACKED = "zip tar gz tgz bz2 tbz2 xz txz zst 7z rar"
ARCHIVES = frozenset(PACKED.split())
NO_IMAGES = frozenset(OTHERS.split()) | ARCHIVES
MOST_LINKS = 20  # maximum number of links that are named


@dataclass
class Found:
    """Files in a folder.

    Attributes:
        files: sorted absolute paths of files that may be images
        sizes: their sizes in bytes
        skipped: (path, reason) of files that should be images but cannot be read
        passed_over: number of files that are not images, by reason
        archives: paths of archives, which may contain images
        same: groups of paths that are the same file, through links
        notes: remarks about the folders
        stopped: why no files are listed, for a folder of 100,000 other files
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
    """List the files in a folder and below it.

    Hidden files, files of the operating system and files of other types are ignored. Links to
    folders are followed once (see `walking`).

    Args:
        root: absolute path of the folder
        skip: patterns of names, or of paths relative to the folder, that are also ignored
    """
    walked = walk(root)
    found = Found(skipped=list(walked.closed))
    if walked.hidden:
        found.passed_over["hidden or system files"] = walked.hidden
    if walked.stopped_after:
        found.stopped = (
            f"Stopped after {walked.stopped_after} files, of which hardly any are images. Give "
            f"the folder that contains the images"
        )
        return found
    inodes: list[int] = []
    linked: set[int] = set()  # inodes that may have several paths
    for folder, names in walked.folders:
        check_interrupted()
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
    _note_links(found, walked, root)
    return found


def _note_links(found: Found, walked: Walk, root: str) -> None:
    """Add remarks about links to folders."""
    linked = [
        f"{os.path.relpath(link, root)} is a link to {target}, which is read"
        for link, target in walked.links
    ]
    for link, own in walked.repeated:
        found.passed_over["links to a folder that is already read"] += 1
        linked.append(
            f"{os.path.relpath(link, root)} is the same folder as {os.path.relpath(own, root)}, "
            f"through a link: its files are imported once, from {os.path.relpath(own, root)}"
        )
    found.notes += linked[:MOST_LINKS]
    if (more := len(linked) - MOST_LINKS) > 0:
        found.notes.append(counted(more, "more folder is a link", "more folders are links"))
    if walked.around:
        found.passed_over["links to a folder around this one"] = len(walked.around)


def _reason(name: str, path: str, skip: tuple[str, ...]) -> str | None:
    """Return why a file is ignored because of its name; None if it is not."""
    for pattern in skip:
        if fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(path, pattern):
            return f"of the pattern {pattern!r}"
    extension = os.path.splitext(name)[1]
    return f"{extension.lower()} files" if extension[1:].lower() in NO_IMAGES else None


def _about(path: str) -> os.stat_result | str:
    """Return the status of a file, without opening it; or why it cannot be an image."""
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
        return "not a regular file"
    return about if about.st_size else "empty file"


def _same(files: list[str], inodes: list[int], linked: set[int]) -> list[list[str]]:
    """Return groups of paths that are the same file, according to their inodes."""
    groups: dict[int, list[str]] = {}
    for path, inode in zip(files, inodes, strict=True):
        if inode in linked:
            groups.setdefault(inode, []).append(path)
    # Files on different disks may have the same inode.
    same = ([p for p in group if _is_same(p, group[0])] for group in groups.values())
    return [group for group in same if len(group) > 1]


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # deleted in the meantime
        return False
