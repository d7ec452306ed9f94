"""A process that has imported everything that jobs need, and forks a worker for each job.

The first worker of a session imports FiftyOne, PyTorch and the verbs. Before it connects to
anything, it forks a copy of itself: the fork server. The fork server listens on a socket in a
private folder of the user, and forks a worker for each job, so that it starts in a fraction of a
second, and a process for each measurement. It ends after being idle for a while, or when the code
has changed. Sessions with different environment variables have separate fork servers.

If forking is not safe (on Windows and macOS), or if no fork server answers, workers are started as
new processes that import everything again.
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
from .fork_client import ANSWER_SECONDS, NUMBER, ForkRequest, free, peer, read
from .processes import open_log

PACKAGE = __name__.rsplit(".", 2)[0]
IDLE_SECONDS = 600.0
POLL_SECONDS = 5.0
WAITING = 128  # maximum number of waiting connections


def start(target: str, path: Path) -> str:
    """Start a fork server, unless there is one.

    Args:
        target: the target of this process's own job
        path: path of the socket on which the fork server will listen

    Returns:
        in this process, its own target; in workers that the fork server forks later, their target
    """
    import fcntl

    lock = os.open(path.with_suffix(places.STARTING), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process starts a fork server, or is one
        os.close(lock)
        return target
    _import_all()
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError:  # for example, the path is too long
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
    if _fork():  # an intermediate process ends here, so that the server is not a child of this one
        os._exit(0)
    try:
        return _serve(listener, lock, path).target
    except BaseException:
        os._exit(1)


def _import_all() -> None:
    """Import everything that jobs need. No import connects, starts a thread, or uses a GPU."""
    own = (f"{PACKAGE}.{name}" for name in ("jobs.queue", "jobs.measure", "training.speed"))
    for name in ("fiftyone.operators.delegated", "torch", "torchvision", *own):
        importlib.import_module(name)
    verbs = importlib.import_module(f"{PACKAGE}.workflow")
    for module in pkgutil.iter_modules(verbs.__path__):
        importlib.import_module(f"{verbs.__name__}.{module.name}")


def _serve(listener: socket.socket, lock: int, path: Path) -> ForkRequest:
    """Fork workers. This function returns only in the workers; the server itself exits in it."""
    listener.listen(WAITING)  # from here on, this process answers
    os.setsid()
    _redirect(os.devnull)
    os.chdir("/")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended workers leave no zombies
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
                request = _fork_request(connection)
                worker = _fork() if request else None
                if worker == 0:
                    listener.close()
                    os.close(lock)
                elif worker:
                    connection.sendall(NUMBER.pack(worker))
            except OSError:
                continue
            if worker == 0:
                _begin(request)
                if request.request:
                    _answer(connection, request.request)
                return request


def _fork_request(connection: socket.socket) -> ForkRequest | None:
    """Read the parameters of a process to fork; None if they are invalid or from another user."""
    connection.settimeout(ANSWER_SECONDS)
    if peer(connection)[1] != os.getuid():
        return None
    try:
        return ForkRequest(**json.loads(read(connection)))
    except (ValueError, TypeError):
        return None


def _begin(request: ForkRequest) -> None:
    """Set up a forked process as if it had been started as a new one."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(request.environment)
    os.umask(request.mask)
    _redirect(request.log)
    with contextlib.suppress(OSError):  # the folder was deleted, which affects only relative paths
        os.chdir(request.folder)
    import numpy as np

    np.random.seed()  # otherwise all workers would draw the same random numbers
    random.seed()


def _answer(connection: socket.socket, request: str) -> None:
    """Answer a request, and exit."""
    try:
        from .measure import main

        connection.settimeout(None)
        connection.sendall(json.dumps(main(json.loads(request))).encode())
    finally:
        os._exit(0)


def _redirect(path: str) -> None:
    """Redirect standard output and error to a file, and standard input to the null device."""
    sys.stdout.flush(), sys.stderr.flush()
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), open_log(path))):
        os.dup2(file, number)
        os.close(file)
    os.dup2(1, 2)


def _fork() -> int:
    sys.stdout.flush(), sys.stderr.flush()  # otherwise both processes would print buffered output
    with warnings.catch_warnings():  # about threads: those of BLAS are safe to fork
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
