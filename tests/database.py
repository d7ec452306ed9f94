"""A MongoDB of the tests' own. FiftyOne would share one with whatever runs on the machine."""

import atexit
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pymongo

from fiftyone_gradcam import doctor_database

START_SECONDS = 60


def find_mongod() -> Path:
    """FiftyOne's MongoDB, found without importing FiftyOne, which would start one; or a new one."""
    (package,) = find_spec("fiftyone").submodule_search_locations
    program = Path(package) / "db" / "bin" / "mongod"
    if not program.exists():
        print(doctor_database.install_database())
    return program


def _end_with_parent() -> None:
    """Let the database end with the tests, however they end."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


class Database:
    """A MongoDB that can be stopped and started again.

    Args:
        folder: where its data is; made if need be
    """

    def __init__(self, folder: Path):
        self.folder, self.process = folder, None
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"mongodb://127.0.0.1:{self.port}"
        self._owner = os.getpid()
        atexit.register(self.stop)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.starting():
            pass

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Start it, do something else, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                find_mongod(),
                *("--dbpath", self.folder, "--logpath", self.folder / "mongod.log"),
                *("--port", str(self.port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
                *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 (before any thread is started)
        )
        end = time.monotonic() + START_SECONDS
        yield
        with pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=200) as client:
            while True:
                try:
                    client.admin.command("ping")
                    return
                except pymongo.errors.ConnectionFailure:
                    if self.process.poll() is not None or time.monotonic() > end:
                        log = (self.folder / "mongod.log").read_text().splitlines()[-5:]
                        raise RuntimeError(f"MongoDB does not start: {log}") from None

    def kill(self) -> None:
        """End it as a machine that loses its power would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it in order."""
        is_own = self._owner == os.getpid()  # not so in a process that was forked from this one
        if is_own and self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
