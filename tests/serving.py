"""An App's server for tests, which starts at once; see `forking`."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import requests
from forking import Python

START_SECONDS = 60
SERVER = """
import os, runpy, sys, threading

def end_with_the_tests():
    sys.stdin.read()
    os._exit(0)

log = os.open(sys.argv.pop(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
for number in (1, 2):
    os.dup2(log, number)
threading.Thread(target=end_with_the_tests, daemon=True).start()
import fiftyone as fo
import fiftyone.constants

fo.config.singleton_cache = False  # as in every server
os.chdir(fiftyone.constants.SERVER_DIR)
sys.path.insert(0, fiftyone.constants.SERVER_DIR)
runpy.run_path("main.py", run_name="__main__")
"""


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def until(condition, seconds: float = START_SECONDS) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


class Server:
    """A server that listens; FiftyOne stops it as one that it has started itself.

    Args:
        port: where it listens
        log: file for what it prints
    """

    def __init__(self, port: int, log: Path):
        address = ("--port", str(port), "--address", "127.0.0.1")
        self.process = Python(SERVER, *address, str(log))
        until(lambda: self._answers(f"http://127.0.0.1:{port}/fiftyone", log))

    def _answers(self, url: str, log: Path) -> bool:
        assert self.process.poll() is None, log.read_text()
        try:
            return requests.get(url, timeout=5).ok
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def launch(folder: Path, dataset=None, port: int | None = None):
    """Start a server and a session of it; see `fiftyone.launch_app`."""
    import fiftyone as fo
    from fiftyone.core.session import session as sessions

    port = port or free_port()
    sessions._server_services[port] = Server(port, folder / f"server {port}.log")
    session = fo.launch_app(dataset, remote=True, address="127.0.0.1", port=port)
    until(lambda: session._client._connected)
    return session
