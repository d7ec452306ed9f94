"""Locks between processes: one writer at a time for each target, such as a dataset."""

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
NOTICE_SECONDS = 1.0  # a wait that is shorter needs no words


@dataclass
class _Held:
    """What this process knows of a target: the thread that works on it, and the open file."""

    thread: threading.RLock = field(default_factory=threading.RLock)
    count: int = 0
    file: int | None = None
    path: Path | None = None


# FiftyOne loads the plugin's modules under names of its own, a worker under theirs: what this
# process holds is one thing to both.
_shared = sys.modules.setdefault("_fiftyone_gradcam_locks", ModuleType("_fiftyone_gradcam_locks"))
_guard: threading.Lock = vars(_shared).setdefault("guard", threading.Lock())
_held: dict[str, _Held] = vars(_shared).setdefault("held", {})


def own_folder() -> Path:
    """A folder for what need not outlive the system's next start, of this user alone.

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
    """What is locked while a dataset is changed; it outlives a change of its name."""
    return f"dataset {dataset_id}"


@contextmanager
def locked(target: str, label: str = "", patience: float | None = None) -> Iterator[bool]:
    """Wait until no other thread and no other process works on a target, and work on it.

    A thread that holds the target may take it again. The system gives the lock back when a
    process ends, however it ends. Locks hold between processes of one user on one machine.

    Args:
        target: what only one may work on at a time
        label: what it is, for messages; by default the target
        patience: seconds to wait, at most; None waits for as long as it takes, and says so

    Yields:
        whether it had to wait for another process, which may have changed what is known here

    Raises:
        TimeoutError: if the target is still busy after `patience` seconds
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
    """Hold a target for this process: any of its threads may then take it with `locked`.

    Args:
        target: see `locked`
        busy: what is printed while another process holds it; nothing if empty
        end: `time.monotonic()` at which to give up; None for never
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
            finally:  # or this process would wait for itself for ever
                os.close(file)


def _open(target: str, busy: str, end: float | None) -> tuple[int, Path, bool]:
    """The locked file of a target, and whether it took waiting. It is gone after the last one."""
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
            # The one before may have removed the file: the lock is then one of a file of nobody.
            if os.name != "posix" or os.fstat(file).st_ino == os.stat(path).st_ino:
                return file, path, waited
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _take(file: int) -> bool:
    """Try to lock an open file; whether it was free."""
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
