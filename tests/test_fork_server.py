"""The process that forks workers: what these are like, and what happens when it is not well."""

import concurrent.futures
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from conftest import REPOSITORY

from fiftyone_gradcam.jobs import fork_client, fork_server, places, processes

pytestmark = pytest.mark.skipif(
    not fork_client.can_fork(), reason="workers are forked on Linux alone"
)

# A fork server whose workers write down what they are, in place of doing a job.
FOUNDER = """
import json, os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
from fiftyone_gradcam.jobs import fork_client, fork_server, places
changed = Path(sys.argv[2]).parent / "changed"
fork_server._import_all, places.code = lambda: None, lambda: [changed.exists()]
fork_server.WAITING = int(os.environ.get("PYTEST_WAITING", 128))
fork_server.POLL_SECONDS, fork_server.IDLE_SECONDS = 0.1, float(sys.argv[3])
target = fork_server.start("first", Path(sys.argv[2]))
try:
    children = os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    children = None
facts = {
    "children": children, "handler": int(signal.getsignal(signal.SIGCHLD)),
    "target": target, "pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0),
    "folder": os.getcwd(), "mask": fork_client.umask(), "environment": dict(os.environ),
    "draws": [random.random(), float(np.random.random())],
    "stdin": sys.stdin.read(), "threads": len(os.listdir("/proc/self/task")),
    "files": sorted(os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                    if os.path.exists(f"/proc/self/fd/{n}")),
}
print(json.dumps(facts), flush=True)
if os.environ.get("PYTEST_STAY"):
    time.sleep(60)
"""


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or waits to be taken note of by one that is."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def until(condition, seconds: float = 60.0):
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


@pytest.fixture
def own(monkeypatch) -> Path:
    """A folder of sockets of the test's own; the path of a socket must be short."""
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="n")))
    monkeypatch.setattr(places, "own_folder", lambda: folder)
    monkeypatch.setattr(fork_client, "ANSWER_SECONDS", 60.0)  # a busy machine is no failure
    monkeypatch.setattr(places, "code", lambda: [])  # nor is a package that is installed now
    yield folder
    shutil.rmtree(folder)


def started_server(environment: dict[str, str], idle: float = 60.0) -> dict:
    """Start one as the first worker of a session does; returns what this worker wrote down."""
    path = places.socket_path(environment)
    command = [sys.executable, "-c", FOUNDER, str(REPOSITORY), str(path), str(idle)]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    facts = json.loads(done.stdout)
    until(lambda: not path.exists() or server_pid(environment) != facts["pid"])
    return facts


def server_pid(environment: dict[str, str]) -> int:
    """The number of the process that listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(places.socket_path(environment)))
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return struct.unpack("3i", peer)[0]


def facts_of(log: Path) -> dict:
    return json.loads(
        until(lambda: log.exists() and log.read_text().endswith("\n") and log.read_text())
    )


@pytest.fixture
def environment(own) -> dict[str, str]:
    """Of a fork server, which is ended after the test."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(own), "WHOSE": "a test's"}
    yield environment
    places.socket_path(environment).unlink(missing_ok=True)


def test_a_worker_is_what_a_process_of_its_own_would_be(own, environment, monkeypatch, request):
    assert fork_client.fork_worker("none as yet", environment, own / "none.log") is None
    mask = os.umask(0o037)
    request.addfinalizer(lambda: os.umask(mask))
    first = started_server(environment)
    assert (first["target"], first["mask"]) == ("first", 0o037)  # a worker as any other
    assert first["children"] is None  # no zombie is left of those between it and the fork server
    assert {x.stat().st_mode & 0o777 for x in own.iterdir()} == {0o600}  # its socket and lock
    assert not [x for x in first["files"] if x.startswith((str(own), "socket:"))]  # both closed
    monkeypatch.chdir(own)
    given = environment | {"TERM": "of another terminal"}
    os.umask(0o027)  # another than that of the fork server
    logs = [own / f"{number}.log" for number in range(3)]
    pids = [fork_client.fork_worker(f"target {n}", given, log) for n, log in enumerate(logs)]
    assert None not in pids
    facts = [facts_of(log) for log in logs]
    assert [x["pid"] for x in facts] == pids
    assert [x["target"] for x in facts] == ["target 0", "target 1", "target 2"]
    parent = server_pid(environment)
    assert {x["parent"] for x in facts} == {parent}
    assert parent not in (os.getpid(), first["pid"])
    for x, log in zip(facts, logs, strict=True):
        assert x["session"] == x["pid"]  # it does not end with a terminal
        assert x["environment"] == given  # with nothing of the one that founded the fork server
        assert x["folder"] == str(own)
        assert x["mask"] == 0o027
        assert (x["stdin"], x["children"], x["handler"]) == ("", None, signal.SIG_DFL)
        # Neither the socket nor the lock: they are the fork server's alone.
        assert set(x["files"]) <= {os.devnull, str(log), f"/proc/{x['pid']}/fd"}
        assert log.stat().st_mode & 0o777 == 0o600
    draws = [tuple(x["draws"]) for x in facts]
    assert len({a for a, _ in draws}) == len({b for _, b in draws}) == 3


def test_where_it_cannot_listen_nothing_is_left_open(own, monkeypatch):
    monkeypatch.setattr(fork_server, "_import_all", lambda: None)
    path, before = own / f"{'x' * 120}.forks", set(os.listdir("/proc/self/fd"))  # too long
    mask = fork_client.umask()
    for _ in range(2):  # the lock is free again
        assert fork_server.start("first", path) == "first"
        assert set(os.listdir("/proc/self/fd")) == before
    assert fork_client.umask() == mask
    assert [x.name for x in own.iterdir()] == [path.with_suffix(places.STARTING).name]


def test_the_files_of_a_fork_server_are_deleted_whichever_are_left(own):
    socket_path, lock = own / "a.forks", own / f"a{places.STARTING}"
    for left in ((socket_path, lock), (socket_path,), (lock,), ()):
        for path in left:
            path.touch()
        fork_client.free(socket_path)
        assert list(own.iterdir()) == []


def test_it_is_its_users_own(own, environment):
    started_server(environment)
    assert places.socket_path(environment).stat().st_mode & 0o777 == 0o600
    assert psutil.Process(server_pid(environment)).cwd() == "/"  # it keeps no folder in use
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(json.dumps({"target": "t"}).encode())
        ours.shutdown(socket.SHUT_WR)
        assert fork_server._fork_request(theirs) is None  # not all that it must know
    for rubbish in (b"", b"{", b"[1]", b'{"target": 1, "more": 2}', b"\xff" * 100):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(places.socket_path(environment)))
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
    # A folder that was deleted affects only relative paths.
    gone = fork_client.ForkRequest("there", environment, "/gone", 0o77, str(own / "log"))
    number, connection = fork_client._ask(gone)
    connection.close()
    facts = facts_of(own / "log")
    assert (facts["pid"], facts["folder"], facts["target"]) == (number, "/", "there")


def test_another_user_gets_nothing(own, environment, monkeypatch):
    started_server(environment)
    request = fork_client.ForkRequest("t", {}, "/", 0o77, str(own / "log"))
    with monkeypatch.context() as as_other:
        as_other.setattr(os, "getuid", lambda: 54321)  # as if the socket were another's
        assert fork_client.fork_worker("t", environment, own / "log") is None
        assert _asked_for(request) is None
    assert _asked_for(request) == request
    assert not (own / "log").exists()


def _asked_for(request: fork_client.ForkRequest) -> fork_client.ForkRequest | None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(json.dumps(vars(request)).encode())
        ours.shutdown(socket.SHUT_WR)
        return fork_server._fork_request(theirs)


def test_a_killed_worker_does_it_no_harm(own, environment):
    started_server(environment)
    parent = server_pid(environment)
    first = fork_client.fork_worker("t", environment | {"PYTEST_STAY": "1"}, own / "a.log")
    assert facts_of(own / "a.log")["pid"] == first
    os.kill(first, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(first))  # no zombie is left either
    assert (
        fork_client.fork_worker("t", environment, own / "b.log") == facts_of(own / "b.log")["pid"]
    )
    assert server_pid(environment) == parent


def test_a_killed_fork_server_is_followed_by_another(own, environment):
    started_server(environment)
    parent = server_pid(environment)
    os.kill(parent, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(parent))
    assert fork_client.fork_worker("t", environment, own / "a.log") is None
    started_server(environment)
    assert server_pid(environment) != parent
    assert (
        fork_client.fork_worker("t", environment, own / "b.log") == facts_of(own / "b.log")["pid"]
    )


def test_a_fork_server_that_hangs_is_given_up(own, environment, monkeypatch):
    started_server(environment)
    parent = server_pid(environment)
    os.kill(parent, signal.SIGSTOP)
    with monkeypatch.context() as impatient:
        impatient.setattr(fork_client, "ANSWER_SECONDS", 0.3)
        assert fork_client.fork_worker("t", environment, own / "a.log") is None
    assert not places.socket_path(environment).exists()
    started_server(environment)
    assert server_pid(environment) != parent
    os.kill(parent, signal.SIGCONT)
    until(lambda: has_ended(parent), 120)  # it sees that it was given up
    assert (
        fork_client.fork_worker("t", environment, own / "b.log") == facts_of(own / "b.log")["pid"]
    )


def test_many_at_once_wait_for_each_other(own, environment):
    started_server(environment | {"PYTEST_WAITING": "2"})
    parent = server_pid(environment)
    os.kill(parent, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        logs = [own / f"{n}.log" for n in range(40)]
        born = [pool.submit(fork_client.fork_worker, "t", environment, log) for log in logs]
        until(lambda: psutil.Process(parent).status() == psutil.STATUS_STOPPED)
        concurrent.futures.wait(born, timeout=1)  # till all of them are at it
        os.kill(parent, signal.SIGCONT)
        pids = [x.result() for x in born]
    assert [facts_of(log)["pid"] for log in logs] == pids


def test_it_ends_when_nothing_is_to_do_and_leaves_nothing(own, environment):
    started_server(environment, idle=0.3)
    path = places.socket_path(environment)
    until(lambda: not path.exists())
    assert not path.with_suffix(places.STARTING).exists()


def test_it_ends_when_the_code_has_changed(own, environment):
    started_server(environment)
    path = places.socket_path(environment)
    (own / "changed").touch()
    until(lambda: not path.exists())


def test_only_one_is_founded_at_a_place(own, environment):
    started_server(environment)
    parent = server_pid(environment)
    assert started_server(environment)["target"] == "first"  # does its job all the same
    assert server_pid(environment) == parent


def test_a_request_is_answered_by_a_process_of_its_own(own, environment):
    request = json.dumps({"recipe": "no such recipe", "choices": {}})
    assert fork_client.ask(request, environment) is None  # there is no fork server
    started_server(environment)
    number, connection = fork_client.ask(request, environment)
    assert number not in (os.getpid(), server_pid(environment))
    with connection:
        answer = json.loads(fork_client.read(connection))
    assert list(answer) == ["error"]
    assert "no such recipe" in answer["error"]
    until(lambda: not psutil.pid_exists(number))
    # One that fails answers nothing; the fork server lives on.
    number, connection = fork_client.ask("no JSON", environment)
    with connection:
        assert fork_client.read(connection) == b""
    assert fork_client.fork_worker("t", environment, own / "log") == facts_of(own / "log")["pid"]


def test_another_environment_or_code_is_another_fork_server(tmp_path, monkeypatch):
    environment = {"FIFTYONE_DATABASE_NAME": "one", "HOME": "/home/one"}
    path = places.socket_path(environment)
    assert places.socket_path(environment | {"TERM": "x", "SSH_TTY": "y"}) == path
    assert places.socket_path(environment | {"FIFTYONE_DATABASE_NAME": "two"}) != path
    assert places.socket_path(environment | {"CUDA_VISIBLE_DEVICES": "1"}) != path
    module = tmp_path / "code" / "module.py"
    module.parent.mkdir()
    module.write_text("a = 1")
    monkeypatch.setattr(places, "ROOT", module.parent)
    before = places.socket_path(environment)
    module.write_text("a = 11")
    assert places.socket_path(environment) != before
    before = places.socket_path(environment)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".fiftyone").mkdir()
    assert places.socket_path(environment) == before
    (tmp_path / ".fiftyone" / "config.json").write_text("{}")  # FiftyOne's settings
    assert places.socket_path(environment) != before


def test_a_worker_is_marked_while_it_lives(own, monkeypatch):
    monkeypatch.setattr(processes, "own_folder", lambda: own)
    target, worker = "dataset 1", processes.name_of(os.getpid())
    assert not processes.has_worker(target)
    processes._mark(target, worker).touch()
    host, pid, born = worker.rsplit(" ", 2)
    dead = processes._mark(target, f"{host} {pid} {float(born) - 100:.2f}")
    dead.touch()
    assert processes.has_worker(target)
    assert not processes.has_worker("dataset 2")
    processes.forget_worker(target, worker)
    assert not processes.has_worker(target)
    assert list(own.iterdir()) == []  # the mark of the dead is gone too
