"""Files are written whole or not at all; what keeps them from being written is reported plainly."""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
OWN_FOLDER = "fiftyone_gradcam"  # of all that this plugin writes for itself
FULL = "Free some space"
PART = re.compile(r"\.[0-9a-f]{12}\.part")  # names of parts of `whole_file`
DENIED = "Change its permissions, or choose another place"
PLAIN = {
    errno.ENOSPC: ("The disk is full", FULL),
    errno.EDQUOT: ("Your quota of the disk is used up", FULL),
    errno.EACCES: ("Permission denied", DENIED),
    errno.EPERM: ("Permission denied", DENIED),
    errno.EROFS: ("The file system is read-only", "Make it writable, or choose another place"),
    errno.ENAMETOOLONG: (
        "The name is too long for the file system, which takes 255 bytes",
        "Choose a shorter name",
    ),
}


class StorageError(OSError):
    """A file cannot be read or written for a reason outside of this project, reported in words."""


class StoragePermissionError(StorageError, PermissionError):
    """A `StorageError` for want of permission."""


@contextmanager
def plain_errors(kept: Callable[[], str] | None = None) -> Iterator[None]:
    """Report errors of the file system in plain words: which file, what is kept, what to do.

    Args:
        kept: says what is left of the work and how to continue

    Raises:
        StorageError: for a full disk, a used up quota, a file or folder without permission, a
            read-only file system, and a name that is too long
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if error.errno not in PLAIN:
            raise
        what, remedy = PLAIN[error.errno]
        path = error.filename2 or error.filename
        where = f": {os.fsdecode(path)}" if isinstance(path, str | bytes) else ""
        left = kept() if kept is not None else ""
        words = ". ".join(x for x in (f"{what}{where}", left, f"{remedy}, and call again") if x)
        is_denied = isinstance(error, PermissionError)
        plain = (StoragePermissionError if is_denied else StorageError)(words)
        plain.errno = error.errno
        raise plain from error


@contextmanager
def whole_file(path: str) -> Iterator[str]:
    """Yield the path of a part to write, which becomes the file when all is written.

    Args:
        path: the file; its folder is made if need be

    Raises:
        OSError: with the path of the file; no part stays behind
    """
    folder = os.path.dirname(os.path.abspath(path))
    part = os.path.join(folder, f".{uuid.uuid4().hex[:12]}.part")
    try:
        make_folder(folder)
        yield part
        if is_own(folder):
            os.chmod(part, 0o600)
        os.replace(part, path)
    except BaseException as error:
        if os.path.lexists(part):
            os.unlink(part)
        # torch.save hides what a file's write raised behind an error of its own.
        cause = error if isinstance(error, OSError) else error.__context__
        is_plain = isinstance(cause, OSError) and cause.errno in PLAIN
        if is_plain and isinstance(error, OSError | RuntimeError):
            named = path if cause.filename in (None, part) else cause.filename
            raise OSError(cause.errno, os.strerror(cause.errno), named) from error
        raise


def remove_parts(folder: str) -> int:
    """Delete what processes that were killed have left of `whole_file` in a folder.

    No other process may be writing to the folder.

    Returns:
        the number of files deleted
    """
    if not os.path.isdir(folder):
        return 0
    parts = [name for name in os.listdir(folder) if PART.fullmatch(name)]
    for name in parts:
        os.unlink(os.path.join(folder, name))
    return len(parts)


def write_new(path: str, make: Callable[[], bytes]) -> None:
    """Write a file under a name that nobody knows yet, so that nobody can find it half written: a
    part under another name, as `whole_file` has it, would double the time that a small file takes.

    Args:
        path: the file, which does not exist; its folder is made if need be
        make: its content

    Raises:
        OSError: with the path of the file; no part stays behind
    """
    content, mode = None, 0o600 if is_own(os.path.dirname(path)) else 0o666
    try:
        content = make()
        try:
            handle = os.open(path, NEW_FILE, mode)
        except FileNotFoundError:
            make_folder(os.path.dirname(path))
            handle = os.open(path, NEW_FILE, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except BaseException as error:
        if content is not None and not isinstance(error, FileExistsError):
            with suppress(OSError):
                os.unlink(path)
        if isinstance(error, OSError) and error.errno in PLAIN:
            named = path if error.filename is None else error.filename
            raise OSError(error.errno, os.strerror(error.errno), named) from error
        raise


def make_folder(folder: str) -> None:
    """Make a folder, and those around it, unless they are there.

    The folder of this plugin's own files, and all below it, is for its user alone.
    """
    folder = os.path.abspath(folder)
    if os.path.isdir(folder):
        return
    around = os.path.dirname(folder)
    make_folder(around)
    with suppress(FileExistsError):  # another process has just made it
        os.mkdir(folder, 0o700 if is_own(folder) else 0o777)


def is_own(path: str) -> bool:
    """Whether a path is that of the folder of this plugin's own files, or of something below it."""
    return OWN_FOLDER in os.path.abspath(path).split(os.sep)


def check_folder(folder: str) -> None:
    """Refuse a folder that cannot be written to, or cannot be made, before work is done for it.

    Raises:
        PermissionError: naming the folder, or the one that it would be in
    """
    folder = os.path.abspath(folder)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
