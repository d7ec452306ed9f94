"""A process that has imported all that jobs need, and forks a worker for each.

The first worker of a session imports FiftyOne, PyTorch and the verbs as any other does, and leaves
a copy of itself behind before it connects to anything: the nursery. It listens at a socket in the
user's own folder, and forks a worker for each job, which so starts in a fraction of a second, and
a process for each measurement. It ends by itself when it has had nothing to do for a while, or when
the code has changed. A session of other environment variables gets a nursery of its own.

Where there is no safe fork (on Windows and macOS), or no nursery answers, workers are started as
processes that import everything again.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import random
import signal
import socket
import sys
import time
import warnings
from pathlib import Path

from . import places
from .asking import ANSWER_SECONDS, NUMBER, Birth, free, peer, read
from .processes import open_log

PACKAGE = __name__.rsplit(".", 2)[0]
IDLE_SECONDS = 600.0
POLL_SECONDS = 5.0
WAITING = 128  # connections that may wait


def found(target: str, path: Path) -> str:
    """Leave a nursery behind, unless there is one.

    Args:
        target: of this process's own job
        path: where the nursery is to listen

    Returns:
        in this process its own target; in workers that the nursery forks later, theirs
    """
    import fcntl

    lock = os.open(path.with_suffix(places.FOUNDING), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process is at it
        os.close(lock)
        return target
    _import_all()
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError:  # such as: the path is too long
        os.close(lock)
        listener.close()
        return target
    finally:
        os.umask(mask)
    listener.listen(WAITING)
    if child := _fork():
        os.waitpid(child, 0)
        listener.close()
        os.close(lock)
        return target
    if _fork():  # a process between: nobody's child needs no waiting for
        os._exit(0)
    try:
        return _serve(listener, lock, path).target
    except BaseException:
        os._exit(1)


def _import_all() -> None:
    """Import what jobs need. Nothing of it connects, starts a thread, or touches a GPU."""
    own = (f"{PACKAGE}.{name}" for name in ("jobs.queue", "jobs.measure", "training.speed"))
    for name in ("fiftyone.operators.delegated", "torch", "torchvision", *own):
        importlib.import_module(name)
    verbs = importlib.import_module(f"{PACKAGE}.workflow")
    for module in pkgutil.iter_modules(verbs.__path__):
        importlib.import_module(f"{verbs.__name__}.{module.name}")


def _serve(listener: socket.socket, lock: int, path: Path) -> Birth:
    """Fork workers; returns in these. The nursery itself ends here."""
    listener.listen(WAITING)  # from here on it is this process that answers
    os.setsid()
    _redirect(os.devnull)
    os.chdir("/")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets workers that have ended
    code, own, at = places.code(), os.stat(path).st_ino, time.monotonic()
    listener.settimeout(POLL_SECONDS)
    while True:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            is_idle = time.monotonic() - at > IDLE_SECONDS
            if is_idle or _inode(path) != own or places.code() != code:
                _end(path, own)
            continue
        at = time.monotonic()
        with connection:
            try:
                birth = _birth(connection)
                worker = _fork() if birth else None
                if worker == 0:
                    listener.close()
                    os.close(lock)
                elif worker:
                    connection.sendall(NUMBER.pack(worker))
            except OSError:
                continue
            if worker == 0:
                _begin(birth)
                if birth.request:
                    _answer(connection, birth.request)
                return birth


def _birth(connection: socket.socket) -> Birth | None:
    """What is asked for; None if it is not asked for by this user, or in other words."""
    connection.settimeout(ANSWER_SECONDS)
    if peer(connection)[1] != os.getuid():
        return None
    try:
        return Birth(**json.loads(read(connection)))
    except (ValueError, TypeError):
        return None


def _begin(birth: Birth) -> None:
    """Become a process like one that was started by itself."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(birth.environment)
    os.umask(birth.mask)
    _redirect(birth.log)
    with contextlib.suppress(OSError):  # it is gone, which matters to relative paths alone
        os.chdir(birth.folder)
    import numpy as np

    np.random.seed()  # or all workers would draw the same numbers
    random.seed()


def _answer(connection: socket.socket, request: str) -> None:
    """Answer a request, and end."""
    try:
        from .measure import main

        connection.settimeout(None)
        connection.sendall(json.dumps(main(json.loads(request))).encode())
    finally:
        os._exit(0)


def _redirect(path: str) -> None:
    """Print to a file, and read nothing."""
    sys.stdout.flush(), sys.stderr.flush()
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), open_log(path))):
        os.dup2(file, number)
        os.close(file)
    os.dup2(1, 2)


def _fork() -> int:
    sys.stdout.flush(), sys.stderr.flush()  # or both would print what waits
    with warnings.catch_warnings():  # of threads: those of BLAS, which know what a fork is
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _end(path: Path, own: int) -> None:
    if _inode(path) == own:
        free(path)
    os._exit(0)


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None
