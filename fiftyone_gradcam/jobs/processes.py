"""Processes: their names, whether they live, and how a worker is started."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from ..disk import make_folder
from ..locks import own_folder

# Threads of OpenMP wait for each other by spinning, by default so long that a training takes ten
# times as long where more threads are busy than there are processors (another job, a browser).
SHARING = {"GOMP_SPINCOUNT": "10000"}
ROOT = Path(__file__).resolve().parents[2]
# A process between, which ends at once: FiftyOne ends its server with all that descend from it.
# Of a session of its own, the worker does not end with the terminal either.
LAUNCHER = """
import os, subprocess, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
with os.fdopen(log, "w") as log:
    worker = subprocess.Popen(
        sys.argv[2:],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
print(worker.pid)
"""
# The App's server tells its children with the first that a server needs no cleaning up, and with
# the second where its database is: one that is found so is not kept alive by the child.
OF_THE_SERVER = ("FIFTYONE_SERVER", "FIFTYONE_PRIVATE_DATABASE_PORT")


def name_of(pid: int) -> str:
    """A process by host, number and time of birth, for numbers are used again."""
    try:
        born = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:  # it has ended already
        born = 0.0
    return f"{socket.gethostname()} {pid} {born:.2f}"


def is_alive(name: str | None) -> bool | None:
    """Whether a process of a name lives; None if that cannot be known from here."""
    parts = (name or "").rsplit(" ", 2)
    if len(parts) != 3 or parts[0] != socket.gethostname():
        return None
    try:
        process = psutil.Process(int(parts[1]))
        born = abs(process.create_time() - float(parts[2])) < 1
        return born and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False


def own_environment() -> dict[str, str]:
    """Environment variables for a process of the plugin's own."""
    environment = {k: v for k, v in os.environ.items() if k not in OF_THE_SERVER}
    path = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    return environment | {"PYTHONPATH": os.pathsep.join(path)}


def worker_environment(settings: dict[str, str]) -> dict[str, str]:
    """Environment variables for a worker; see `start_worker` for its settings."""
    return SHARING | own_environment() | settings | {"FIFTYONE_GRADCAM_WORKER": "1"}


def module_command(name: str) -> list[str]:
    """The command that runs a module of the plugin."""
    # -P: a folder from which the App was started must not lend its files as modules.
    return [sys.executable, "-P", "-m", name]


def start_worker(target: str, settings: dict[str, str], log: Path) -> str:
    """Start a process that does a queued job of a target when it is its turn.

    Args:
        target: what only one job at a time may work on
        settings: environment variables of its own
        log: file for what it prints

    Returns:
        the name of the process
    """
    from . import asking, places

    environment = worker_environment(settings)
    make_folder(str(log.parent))
    pid = None
    if asking.can_fork():
        pid = asking.bear(target, environment, log)
        environment[places.FOUND] = str(places.socket_path(environment))
    worker = name_of(pid or _launch(target, environment, log))
    _mark(target, worker).touch(mode=0o600)
    return worker


def _launch(target: str, environment: dict[str, str], log: Path) -> int:
    """Start a worker as a process that imports all that it needs; returns its number."""
    command = [*module_command("fiftyone_gradcam.jobs.worker"), target]
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(log), *command]
    done = subprocess.run(launcher, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


def open_log(path: str | os.PathLike) -> int:
    """A file for what a worker prints, which is its user's own."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def has_worker(target: str) -> bool:
    """Whether a worker for a target lives: it waits for its turn, or has it."""
    marks = own_folder().glob(f"{_short(target)}.*.worker")
    living = [path for path in marks if is_alive(_worker_of(path))]
    return bool(living)


def forget_worker(target: str, worker: str) -> None:
    """Remove the mark of a worker that ends, and those of others that are dead."""
    _mark(target, worker).unlink(missing_ok=True)
    for path in own_folder().glob(f"{_short(target)}.*.worker"):
        if not is_alive(_worker_of(path)):
            path.unlink(missing_ok=True)


def _mark(target: str, worker: str) -> Path:
    """A file that says that a worker for a target was started, for its looks do not say so."""
    _, pid, born = worker.rsplit(" ", 2)
    return own_folder() / f"{_short(target)}.{pid}.{born}.worker"


def _worker_of(mark: Path) -> str:
    pid, _, born = mark.name.split(".", 1)[1].removesuffix(".worker").partition(".")
    return f"{socket.gethostname()} {pid} {born}"


def _short(target: str) -> str:
    return hashlib.sha256(target.encode()).hexdigest()[:24]
