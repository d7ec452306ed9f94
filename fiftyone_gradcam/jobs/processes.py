"""Processes: identify them, check whether they are running, and start workers."""

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

# OpenMP threads wait for each other by spinning. With the default, a training takes ten times as
# long if there are more busy threads than processors (because of another job, or a browser).
SHARING = {"GOMP_SPINCOUNT": "10000"}
ROOT = Path(__file__).resolve().parents[2]
# An intermediate process, which ends at once: FiftyOne ends its server with all its descendants.
# The worker gets its own session, so that it does not end with the terminal either.
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
# Set by the App's server for its children. With the first, they would not clean up their services;
# with the second, they would use its database without keeping it alive.
OF_THE_SERVER = ("FIFTYONE_SERVER", "FIFTYONE_PRIVATE_DATABASE_PORT")


def name_of(pid: int) -> str:
    """Return a name for a process: host, process id and start time, because ids are reused."""
    try:
        born = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:  # the process has ended already
        born = 0.0
    return f"{socket.gethostname()} {pid} {born:.2f}"


def is_alive(name: str | None) -> bool | None:
    """Return whether the process with a name is running; None if it is on another host."""
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
    """Return the environment variables for a process of this plugin."""
    environment = {k: v for k, v in os.environ.items() if k not in OF_THE_SERVER}
    path = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    return environment | {"PYTHONPATH": os.pathsep.join(path)}


def worker_environment(settings: dict[str, str]) -> dict[str, str]:
    """Return the environment variables for a worker; see `start_worker` for its settings."""
    return SHARING | own_environment() | settings | {"FIFTYONE_GRADCAM_WORKER": "1"}


def module_command(name: str) -> list[str]:
    """Return the command that runs a module of this plugin."""
    # -P: do not import modules from the working directory.
    return [sys.executable, "-P", "-m", name]


def start_worker(target: str, settings: dict[str, str], log: Path) -> str:
    """Start a worker, which waits for its turn and then runs a queued job of a target.

    Args:
        target: the resource, such as a dataset, that only one job at a time may use
        settings: further environment variables of the worker
        log: path of the file for its output

    Returns:
        the name of the process
    """
    from . import fork_client, places

    environment = worker_environment(settings)
    make_folder(str(log.parent))
    pid = None
    if fork_client.can_fork():
        pid = fork_client.fork_worker(target, environment, log)
        environment[places.START] = str(places.socket_path(environment))
    worker = name_of(pid or _launch(target, environment, log))
    _mark(target, worker).touch(mode=0o600)
    return worker


def _launch(target: str, environment: dict[str, str], log: Path) -> int:
    """Start a worker as a new process, which imports everything; return its process id."""
    command = [*module_command("fiftyone_gradcam.jobs.worker"), target]
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(log), *command]
    done = subprocess.run(launcher, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


def open_log(path: str | os.PathLike) -> int:
    """Open the file for the output of a worker, which only its user can read; return its handle."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def has_worker(target: str) -> bool:
    """Return whether there is a worker for a target, waiting for its turn or running a job."""
    marks = own_folder().glob(f"{_short(target)}.*.worker")
    living = [path for path in marks if is_alive(_worker_of(path))]
    return bool(living)


def forget_worker(target: str, worker: str) -> None:
    """Remove the marker file of a worker that ends, and those of workers that no longer run."""
    _mark(target, worker).unlink(missing_ok=True)
    for path in own_folder().glob(f"{_short(target)}.*.worker"):
        if not is_alive(_worker_of(path)):
            path.unlink(missing_ok=True)


def _mark(target: str, worker: str) -> Path:
    """Return the path of the marker file of a worker, by which others find workers of a target."""
    _, pid, born = worker.rsplit(" ", 2)
    return own_folder() / f"{_short(target)}.{pid}.{born}.worker"


def _worker_of(mark: Path) -> str:
    pid, _, born = mark.name.split(".", 1)[1].removesuffix(".worker").partition(".")
    return f"{socket.gethostname()} {pid} {born}"


def _short(target: str) -> str:
    return hashlib.sha256(target.encode()).hexdigest()[:24]
