"""Ask the nursery to fork a process."""

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

ANSWER_SECONDS = 8.0  # a fork takes some hundredths; importing all on a busy machine, longer
MOST_BYTES = 4 << 20
NUMBER = struct.Struct("q")  # of a process
PEER = struct.Struct("3i")  # of SO_PEERCRED: process, user, group


@dataclass(frozen=True)
class Birth:
    """What a worker needs to know.

    Attributes:
        target: of the jobs that it may do
        environment: all of its environment variables
        folder: the current one, which relative paths start from
        mask: of the rights of files that it makes
        log: file for what it prints
        request: of one that does no job, but answers this and ends (see `measure`)
    """

    target: str
    environment: dict[str, str]
    folder: str
    mask: int
    log: str
    request: str = ""


def can_fork() -> bool:
    """Whether this system forks safely: on macOS, its frameworks do not survive a fork."""
    return sys.platform == "linux"


def bear(target: str, environment: dict[str, str], log: Path) -> int | None:
    """Have a worker forked; returns its number, None if no nursery answers.

    One that does not answer is given up: its place is free for another.
    """
    asked = _ask(Birth(target, environment, _here(), umask(), str(log)))
    if asked is None:
        return None
    number, connection = asked
    connection.close()
    return number


def ask(request: str, environment: dict[str, str]) -> tuple[int, socket.socket] | None:
    """Have a process forked that answers a request; None if no nursery answers.

    Returns:
        its number, and a connection from which its answer is read, to the end (see `read`)
    """
    return _ask(Birth("", environment, _here(), umask(), os.devnull, request))


def _ask(birth: Birth) -> tuple[int, socket.socket] | None:
    path = places.socket_path(birth.environment)
    if not path.exists():
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(ANSWER_SECONDS)
        _connect(connection, path)
        if peer(connection)[1] == os.getuid():
            connection.sendall(json.dumps(asdict(birth)).encode())
            connection.shutdown(socket.SHUT_WR)
            number = connection.recv(NUMBER.size, socket.MSG_WAITALL)
            if len(number) == NUMBER.size:
                connection.settimeout(None)
                return NUMBER.unpack(number)[0], connection
    except TimeoutError:
        free(path)  # it sees this, should it wake up
    except OSError:
        pass
    connection.close()
    return None


def _connect(connection: socket.socket, path: Path) -> None:
    """Connect; where too many others wait, after them."""
    end = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return connection.connect(str(path))
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError from None
        time.sleep(0.05)


def free(path: Path) -> None:
    """Let another nursery be founded at a place."""
    for name in (path, path.with_suffix(places.FOUNDING)):
        name.unlink(missing_ok=True)


def peer(connection: socket.socket) -> tuple[int, int, int]:
    """Process, user and group at the other end."""
    return PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))


def read(connection: socket.socket) -> bytes:
    """All that is sent."""
    parts, size = [], 0
    while part := connection.recv(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise ValueError("too much is asked for")
    return b"".join(parts)


def umask() -> int:
    """This process's mask, which can be read without changing it on Linux alone."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o077


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was deleted
        return "/"
