"""Faults at a chosen write: of the database or of a file, whoever makes it.

Writes are counted where all of them pass: in the connections of pymongo, and in Python's audit
events of files. A fault at write k is thus the same each time, unlike a signal at a chosen moment.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from audit import written_path
from pymongo.errors import AutoReconnect
from pymongo.synchronous.pool import Connection

WRITES = (
    *("insert", "update", "delete", "findAndModify", "create", "createIndexes", "drop"),
    *("dropIndexes", "renameCollection", "dropDatabase"),
)
MAKES_FILES = ("open", "os.mkdir", "os.link", "os.symlink")
KINDS = ("interrupt", "killed", "disk full", "no database")
# Of a database that is gone these still answer: pymongo would look for it for 30 seconds else, at
# each command, before it raises the same error.
GREETINGS = ("hello", "ismaster", "isMaster", "ping")


class KilledError(BaseException):
    """What happens after this has no effect: the process is as good as dead."""


@dataclass
class Injector:
    """Counts writes, and fails at one.

    Args:
        folders: where files count
        kind: one of `KINDS`; None only counts
        at: the number of the write, from 1, before which it happens
        counts: of a call that goes well, the writes at which each kind can happen
    """

    folders: tuple[str, ...]
    kind: str | None = None
    at: int = 0
    count: int = 0
    counts: Counter = field(default_factory=Counter)
    happened: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, what: str, makes_file: bool, is_file: bool) -> None:
        """Called before each write.

        Raises:
            BaseException: the fault
        """
        # Files can be deleted where the disk is full, and MongoDB has another.
        without = {"disk full": not makes_file, "no database": is_file}
        with self.lock:
            self.counts.update(kind for kind in KINDS if not without.get(kind))
        if without.get(self.kind):
            return
        with self.lock:
            self.count += 1
            is_due = self.count == self.at if self.kind == "interrupt" else self.count >= self.at
            if self.kind is None or not is_due:
                return
            self.happened = self.happened or what
        if self.kind == "interrupt":
            raise KeyboardInterrupt
        if self.kind == "killed":
            raise KilledError(what)
        if self.kind == "disk full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), what)
        raise AutoReconnect("the database is gone")


_current: Injector | None = None


def _hook(event: str, args: tuple) -> None:
    injector = _current
    path = written_path(event, args) if injector is not None else None
    if path is None:
        return
    if any(path.startswith(folder + os.sep) for folder in injector.folders):
        injector.write(f"{event} {os.path.basename(path)}", event in MAKES_FILES, True)


def _patched(original):
    def call(self, *args, **kwargs):
        injector = _current
        if injector is not None:
            spec = args[1] if len(args) > 1 else kwargs.get("spec", {})
            name = next(iter(spec), "") if not isinstance(spec, bytes) else "write"
            makes = name in WRITES or (name == "aggregate" and "$out" in str(spec)[-300:])
            if makes or isinstance(spec, bytes):
                injector.write(f"database {name}", False, False)
            elif injector.kind == "no database" and injector.happened and name not in GREETINGS:
                raise AutoReconnect("the database is gone")
        return original(self, *args, **kwargs)

    return call


_is_installed = False


def _install() -> None:
    global _is_installed  # noqa: PLW0603 (audit hooks stay for good)
    if not _is_installed:
        _is_installed = True
        sys.addaudithook(_hook)
        Connection.command = _patched(Connection.command)
        Connection.write_command = _patched(Connection.write_command)


@contextmanager
def faults(*folders: str, kind: str | None = None, at: int = 0) -> Iterator[Injector]:
    """Let the `at`-th write below `folders`, or of the database, go wrong."""
    global _current  # noqa: PLW0603
    _install()
    _current = Injector(tuple(map(os.path.abspath, folders)), kind, at)
    try:
        yield _current
    finally:
        _current = None
