"""Ask the fork server, a process that has everything imported, to fork a process."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from . import places

ANSWER_SECONDS = 8.0  # a fork takes some hundredths of a second; imports may delay it
MOST_BYTES = 4 << 20
NUMBER = struct.Struct("q")  # a process id
PEER = struct.Struct("3i")  # result of SO_PEERCRED: process, user and group ids


@dataclass(frozen=True)
class ForkRequest:
    """The parameters of a process to fork.

    Attributes:
        target: the target of the jobs that the worker may run
        environment: all environment variables of the process
        folder: its working directory
        mask: its umask
        log: path of the file for its output
        request: a request that the process answers instead of running a job (see `measure`); ""
            for a worker
    """

    target: str
    environment: dict[str, str]
    folder: str
    mask: int
    log: str
    request: str = ""


def can_fork() -> bool:
    """Return whether forking is safe on this system; on macOS, system frameworks prevent it."""
    return sys.platform == "linux"


def fork_worker(target: str, environment: dict[str, str], log: Path) -> int | None:
    """Ask the fork server to fork a worker.

    A fork server that does not answer is given up, so that another can take its place.

    Returns:
        the process id of the worker; None if no fork server answers
    """
    asked = _ask(ForkRequest(target, environment, _here(), umask(), str(log)))
    if asked is None:
        return None
    number, connection = asked
    connection.close()
    return number


def ask(request: str, environment: dict[str, str]) -> tuple[int, socket.socket] | None:
    """Ask the fork server to fork a process that answers a request.

    Returns:
        its process id, and a connection from which its answer can be read (see `read`); None if no
        fork server answers
    """
    return _ask(ForkRequest("", environment, _here(), umask(), os.devnull, request))


def _ask(request: ForkRequest) -> tuple[int, socket.socket] | None:
    path = places.socket_path(request.environment)
    if not path.exists():
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(ANSWER_SECONDS)
        _connect(connection, path)
        if peer(connection)[1] == os.getuid():
            connection.sendall(json.dumps(asdict(request)).encode())
            connection.shutdown(socket.SHUT_WR)
            number = connection.recv(NUMBER.size, socket.MSG_WAITALL)
            if len(number) == NUMBER.size:
                connection.settimeout(None)
                return NUMBER.unpack(number)[0], connection
    except TimeoutError:
        free(path)  # the fork server notices this if it continues, and ends
    except OSError:
        pass
    connection.close()
    return None


def _connect(connection: socket.socket, path: Path) -> None:
    """Connect to the fork server; retry while too many other connections wait.

    Raises:
        TimeoutError: if this takes too long
    """
    end = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return connection.connect(str(path))
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError from None
        time.sleep(0.05)


def free(path: Path) -> None:
    """Delete the files of a fork server, so that another one can be started in its place."""
    for name in (path, path.with_suffix(places.STARTING)):
        name.unlink(missing_ok=True)


def peer(connection: socket.socket) -> tuple[int, int, int]:
    """Return the process, user and group ids of the other end of a connection."""
    return PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))


def read(connection: socket.socket) -> bytes:
    """Read everything that is sent over a connection.

    Raises:
        ValueError: if it is more than `MOST_BYTES`
    """
    parts, size = [], 0
    while part := connection.recv(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise ValueError("the message is too long")
    return b"".join(parts)


def umask() -> int:
    """Return the umask of this process; only on Linux can it be read without being changed."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o077


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # the working directory was deleted
        return "/"
