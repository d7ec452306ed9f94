"""Locks between processes: only one writer at a time for each target, such as a dataset."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

POLL_SECONDS = 0.1
NOTICE_SECONDS = 1.0  # no message for a shorter wait


@dataclass
class _Held:
    """The state of a target in this process: the lock between threads, and the open lock file."""

    thread: threading.RLock = field(default_factory=threading.RLock)
    count: int = 0
    file: int | None = None
    path: Path | None = None


# FiftyOne loads the plugin's modules under other names than a worker does; both must share the
# locks of this process.
_shared = sys.modules.setdefault("_fiftyone_gradcam_locks", ModuleType("_fiftyone_gradcam_locks"))
_guard: threading.Lock = vars(_shared).setdefault("guard", threading.Lock())
_held: dict[str, _Held] = vars(_shared).setdefault("held", {})


def own_folder() -> Path:
    """Return a private folder for files that are not needed after a restart.

    Raises:
        PermissionError: if the folder belongs to another user, or is a link
    """
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"fiftyone-gradcam-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.name == "posix":
        found = os.lstat(folder)
        if found.st_uid != user or folder.is_symlink():
            raise PermissionError(
                f"The folder {str(folder)!r} belongs to another user. Remove it, or set TMPDIR to "
                f"a folder of your own"
            )
        if found.st_mode & 0o077:
            folder.chmod(0o700)
    return folder


def dataset_target(dataset_id: str) -> str:
    """The lock target of a dataset, which does not change when the dataset is renamed."""
    return f"dataset {dataset_id}"


@contextmanager
def locked(target: str, label: str = "", patience: float | None = None) -> Iterator[bool]:
    """Hold a target exclusively: wait until no other thread or process holds it.

    A thread that holds the target may lock it again. The operating system releases the lock when a
    process ends, even if it was killed. Locks work between processes of one user on one machine.

    Args:
        target: name of the target
        label: description for messages; by default, the target
        patience: maximum time to wait, in seconds; by default (None), wait without limit and print
            a message

    Yields:
        whether it waited for another process, which may have changed data that was read before

    Raises:
        TimeoutError: if the target is still locked after `patience` seconds
    """
    end = None if patience is None else time.monotonic() + patience
    with _guard:
        held = _held.setdefault(target, _Held())
    busy = f"{label or target} is being changed by another process"
    if not held.thread.acquire(timeout=-1 if patience is None else patience):
        raise TimeoutError(f"{busy}. Wait for it to end, or cancel it, and call again")
    try:
        with held_by_process(target, busy, end) as waited:
            yield waited
    finally:
        held.thread.release()


@contextmanager
def held_by_process(target: str, busy: str = "", end: float | None = None) -> Iterator[bool]:
    """Hold a target for this process: any of its threads may then lock it with `locked`.

    Args:
        target: see `locked`
        busy: message to print while another process holds it; empty for no message
        end: `time.monotonic()` at which to give up; by default (None), never
    """
    with _guard:
        held = _held.setdefault(target, _Held())
        is_first = held.count == 0
        if not is_first:
            held.count += 1
    waited = False
    if is_first:
        file, path, waited = _open(target, busy, end)
        with _guard:
            held.file, held.path, held.count = file, path, held.count + 1
    try:
        yield waited
    finally:
        with _guard:
            held.count -= 1
            file, path = held.file, held.path
            is_last = held.count == 0
            if is_last:
                held.file = held.path = None
        if is_last:
            try:
                if os.name == "posix":
                    os.unlink(path)
            finally:  # otherwise this process would wait for itself forever
                os.close(file)


def _open(target: str, busy: str, end: float | None) -> tuple[int, Path, bool]:
    """Return the locked file of a target, its path, and whether it had to wait. The last process
    removes the file."""
    digest = hashlib.sha256(target.encode(errors="backslashreplace")).hexdigest()
    path = own_folder() / f"{digest[:24]}.lock"
    notice: float | None = time.monotonic() + NOTICE_SECONDS
    waited = False
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _take(file):
                waited = True
                now = time.monotonic()
                if end is not None and now >= end:
                    raise TimeoutError(f"{busy}. Wait for it to end, or cancel it, and call again")
                if busy and notice is not None and now >= notice:
                    print(f"{busy}: waiting for it to end ...", flush=True)
                    notice = None
                time.sleep(POLL_SECONDS)
            # The previous holder may have removed the file; this lock would then have no effect.
            if os.name != "posix" or os.fstat(file).st_ino == os.stat(path).st_ino:
                return file, path, waited
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _take(file: int) -> bool:
    """Try to lock an open file; return whether it was free."""
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True
