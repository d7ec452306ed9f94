"""Write files completely or not at all, and report file system errors in plain words."""

from __future__ import annotations

import errno
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
OWN_FOLDER = "fiftyone_gradcam"  # folder of the plugin's own files
FULL = "Free some space"
PART = re.compile(r"\.[0-9a-f]{12}\.part")  # temporary files of `whole_file`
DENIED = "Change its permissions, or choose another place"
PLAIN = {
    errno.ENOSPC: ("The disk is full", FULL),
    errno.EDQUOT: ("Your disk quota is exceeded", FULL),
    errno.EACCES: ("Permission denied", DENIED),
    errno.EPERM: ("Permission denied", DENIED),
    errno.EROFS: ("The file system is read-only", "Make it writable, or choose another place"),
    errno.ENAMETOOLONG: (
        "The name is too long for the file system, which allows 255 bytes",
        "Choose a shorter name",
    ),
}


class StorageError(OSError):
    """A file cannot be read or written, for example because the disk is full."""


class StoragePermissionError(StorageError, PermissionError):
    """A `StorageError` caused by missing permissions."""


@contextmanager
def plain_errors(kept: Callable[[], str] | None = None) -> Iterator[None]:
    """Report file system errors in plain words: the file, what was kept, and what to do.

    Args:
        kept: returns a sentence about what was kept and how to continue

    Raises:
        StorageError: for a full disk, an exceeded quota, missing permissions, a read-only file
            system, or a name that is too long
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
        raise plain from None


@contextmanager
def whole_file(path: str) -> Iterator[str]:
    """Yield the path of a temporary file, which replaces `path` when it is complete.

    Args:
        path: the file to write; its folder is created if it does not exist

    Raises:
        OSError: with the path of the file; the temporary file is removed
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
        # torch.save raises its own error in place of the original OSError.
        cause = error if isinstance(error, OSError) else error.__context__
        is_plain = isinstance(cause, OSError) and cause.errno in PLAIN
        if is_plain and isinstance(error, OSError | RuntimeError):
            named = path if cause.filename in (None, part) else cause.filename
            raise OSError(cause.errno, os.strerror(cause.errno), named) from error
        raise


def remove_parts(folder: str, seconds: float = 0.0) -> int:
    """Delete temporary files of `whole_file` that killed processes left in a folder.

    Args:
        folder: the folder
        seconds: for how long a file must not have changed; at least 0. By default (0), all are
            deleted, and no other process may be writing to the folder

    Returns:
        the number of deleted files
    """
    if not os.path.isdir(folder):
        return 0
    count, now = 0, time.time()
    for name in filter(PART.fullmatch, os.listdir(folder)):
        path = os.path.join(folder, name)
        with suppress(FileNotFoundError):  # another process has just finished it
            if not seconds or now - os.path.getmtime(path) > seconds:
                os.unlink(path)
                count += 1
    return count


def write_new(path: str, make: Callable[[], bytes]) -> None:
    """Write a new file under a name that no other process knows yet.

    Nobody can read the file before it is complete, so no temporary file is needed, which would
    double the time for small files (see `whole_file`).

    Args:
        path: the file to write, which does not exist; its folder is created if it does not exist
        make: returns the content

    Raises:
        OSError: with the path of the file; an incomplete file is removed
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
    """Create a folder and its parents, if they do not exist.

    Only the user can access the plugin's own folder and everything in it.
    """
    folder = os.path.abspath(folder)
    if os.path.isdir(folder):
        return
    around = os.path.dirname(folder)
    make_folder(around)
    with suppress(FileExistsError):  # another process has just created it
        os.mkdir(folder, 0o700 if is_own(folder) else 0o777)


def is_own(path: str) -> bool:
    """Whether a path is the plugin's own folder, or is inside it."""
    return OWN_FOLDER in os.path.abspath(path).split(os.sep)


def check_folder(folder: str) -> None:
    """Check that a folder can be written to or created, before expensive work.

    Raises:
        PermissionError: naming the folder, or its closest existing parent
    """
    folder = os.path.abspath(folder)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
