"""Processes that do jobs: how they are started and found, and the messages between them."""

import os
import re
import socket
import sys
import threading
from pathlib import Path

import fiftyone as fo
import pytest
from bson import ObjectId

from fiftyone_gradcam.jobs import fork_client, fork_server, places, processes, queue, worker
from fiftyone_gradcam.jobs.job import log_file


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """A folder of sockets and marks of the test's own."""
    for module in (places, processes):
        monkeypatch.setattr(module, "own_folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize("can_fork", [True, False])
def test_without_a_fork_server_a_worker_is_a_new_process(own, can_fork, monkeypatch):
    asked, here = [], processes.name_of(os.getpid())
    monkeypatch.setattr(fork_client, "can_fork", lambda: can_fork)
    monkeypatch.setattr(processes, "_launch", lambda *how: asked.append(how) or os.getpid())
    log = own / "jobs" / "1.log"
    assert processes.start_worker("a dataset", {"OWN": "1"}, log) == here
    ((target, environment, path),) = asked
    assert (target, path, log.parent.is_dir()) == ("a dataset", log, True)
    assert (environment["OWN"], environment["FIFTYONE_GRADCAM_WORKER"]) == ("1", "1")
    # It starts one for the next workers.
    start = environment.pop(places.START, None)
    assert start == (str(places.socket_path(environment)) if can_fork else None)
    mark = processes._mark("a dataset", here)
    assert mark.stat().st_mode & 0o777 == 0o600
    assert processes.has_worker("a dataset")
    # One that was forked needs no other.
    monkeypatch.setattr(fork_client, "fork_worker", lambda *_: os.getpid())
    assert processes.start_worker("another", {}, log) == here
    assert len(asked) == (1 if can_fork else 2)
    assert processes.has_worker("another")


def test_the_environment_of_a_worker(monkeypatch):
    for name in ("FIFTYONE_SERVER", "FIFTYONE_PRIVATE_DATABASE_PORT", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "5")
    monkeypatch.setenv("MINE", "kept")
    monkeypatch.setenv("PYTHONPATH", "/mine")
    found = processes.worker_environment({"MINE_TOO": "1"})
    assert not {"FIFTYONE_SERVER", "FIFTYONE_PRIVATE_DATABASE_PORT"} & set(found)
    assert (found["MINE"], found["MINE_TOO"], found["GOMP_SPINCOUNT"]) == ("kept", "1", "5")
    assert found["PYTHONPATH"] == f"{processes.ROOT}{os.pathsep}/mine"
    for name in ("PYTHONPATH", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name)
    found = processes.worker_environment({"MINE": "other"})
    assert (found["MINE"], found["GOMP_SPINCOUNT"]) == ("other", "10000")
    assert found["PYTHONPATH"] == str(processes.ROOT)


def test_a_name_stands_for_one_process():
    host, pid, born = processes.name_of(os.getpid()).rsplit(" ", 2)
    assert processes.name_of(2**22 + 1) == f"{host} {2**22 + 1} 0.00"
    for seconds, lives in ((0.9, True), (-0.9, True), (1.1, False), (-1.1, False)):
        assert processes.is_alive(f"{host} {pid} {float(born) + seconds:.2f}") is lives
    assert processes.is_alive(f"{host} {2**22 + 1} {born}") is False
    assert processes.is_alive(f"{host} x {born}") is False
    for name in (None, "", host, f"{host} {pid}", f"other {pid} {born}"):
        assert processes.is_alive(name) is None


def test_workers_are_forgotten_whoever_was_first(own):
    here, gone = processes.name_of(os.getpid()), processes.name_of(2**22 + 1)
    processes.forget_worker("a target", here)  # there is no mark of it
    processes._mark("a target", gone).touch()
    assert not processes.has_worker("a target")
    processes.forget_worker("a target", here)
    assert list(own.iterdir()) == []


def test_terminals_share_a_fork_server_and_settings_do_not(own):
    base = {"PATH": "/bin", "HOME": "/home/x"}
    path = places.socket_path(base)
    assert path.parent == own
    assert re.fullmatch(r"[0-9a-f]{24}\.forks", path.name)
    assert places.socket_path(dict(reversed(base.items()))) == path
    for name in ("_", "TERM", "COLUMNS", places.START, "SSH_TTY", "TMUX_PANE", "TERM_PROGRAM"):
        assert places.socket_path(base | {name: "x"}) == path, name
    for name in ("TERMINAL", "MY_SSH_TTY", "OMP_NUM_THREADS", "HOMES"):
        assert places.socket_path(base | {name: "x"}) != path, name


def test_files_that_go_away_are_left_out_of_the_code(tmp_path, monkeypatch):
    code, packages = tmp_path / "code", tmp_path / "packages"
    for folder in (code, packages):
        folder.mkdir()
    module = code / "module.py"
    module.write_text("a = 1")
    (code / "gone.py").symlink_to(code / "nowhere.py")
    monkeypatch.setattr(places, "ROOT", code)
    monkeypatch.setattr(places.sysconfig, "get_paths", lambda: {"purelib": str(packages)})
    monkeypatch.setenv("HOME", str(tmp_path))
    # The size of a folder says nothing; when it changed does.
    assert places.code() == [
        [str(packages), packages.stat().st_mtime_ns, 0],
        [str(module), module.stat().st_mtime_ns, 5],
    ]


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux alone")


@linux
def test_a_crowded_fork_server_is_given_up_and_one_that_ends_is_not(own, monkeypatch):
    monkeypatch.chdir(own)  # the path of a socket must be short
    environment = {"HOME": "x"}
    path = places.socket_path(environment)
    monkeypatch.setattr(places, "socket_path", lambda _: Path(path.name))
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(path.name)
        server.listen(0)
        first.connect(path.name)  # takes the only place

        def hang_up() -> None:
            for _ in range(2):
                server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        monkeypatch.setattr(fork_client, "ANSWER_SECONDS", 0.1)
        path.with_suffix(places.STARTING).touch()
        assert fork_client.fork_worker("t", environment, own / "log") is None
        assert not path.exists()
        assert not path.with_suffix(places.STARTING).exists()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
        server.listen(2)
        monkeypatch.setattr(fork_client, "ANSWER_SECONDS", 60.0)
        thread.start()
        for _ in range(2):
            assert fork_client.fork_worker("t", environment, own / "log") is None
        thread.join()
        assert path.exists()  # it has ended by itself, and the next one deletes this


def test_a_message_has_a_limit(monkeypatch):
    monkeypatch.setattr(fork_client, "MOST_BYTES", 10)

    def read(content: bytes) -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(content)
            ours.shutdown(socket.SHUT_WR)
            return fork_client.read(theirs)

    assert read(b"") == b""
    assert read(b"0123456789") == b"0123456789"
    with pytest.raises(ValueError, match="^the message is too long$"):
        read(b"01234567890")


@linux
def test_a_fork_server_does_not_wait_for_a_silent_client(monkeypatch):
    monkeypatch.setattr(fork_server, "ANSWER_SECONDS", 0.05)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError):
        fork_server._fork_request(theirs)


@linux
def test_what_a_process_hands_on_of_itself(tmp_path, monkeypatch, request):
    gone = tmp_path / "gone"
    gone.mkdir()
    mask = os.umask(0o037)
    request.addfinalizer(lambda: os.umask(mask))
    monkeypatch.chdir(gone)
    assert (fork_client._here(), fork_client.umask()) == (str(gone), 0o037)
    gone.rmdir()
    assert fork_client._here() == "/"
    status = tmp_path / "status"
    status.write_text("Name:\tpython\n")
    monkeypatch.setattr(fork_client, "Path", lambda _: status)
    assert fork_client.umask() == 0o077  # of other systems it is not known


def test_a_worker_does_the_oldest_job_of_its_target_and_leaves_nothing(tmp_path, name, monkeypatch):
    monkeypatch.delenv(places.START, raising=False)
    dataset, own = fo.Dataset(name), processes.name_of(os.getpid())
    parent = processes.name_of(os.getppid())
    monkeypatch.setattr(processes, "start_worker", lambda *_: parent)
    jobs = [
        queue.submit("find_leaks", {"samples": dataset, "backbone": "gone"}, dataset)
        for _ in range(2)
    ]
    service = queue.DelegatedOperationService()
    operation = service.get(ObjectId(jobs[0].id))
    target, log = operation.metadata["target"], log_file(operation)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("output")
    processes._mark(target, own).touch()
    worker.main(target)
    assert [job.refresh().state for job in jobs] == ["failed", "queued"]
    assert service.get(ObjectId(jobs[0].id)).run_link == own
    assert log.exists()  # of a failure it is kept
    assert not processes.has_worker(target)
    for job in jobs:
        service.delete_operation(ObjectId(job.id))
    dataset.add_samples(
        fo.Sample(f"/{n}.png", ground_truth=fo.Classification(label="a")) for n in range(4)
    )
    given = {"samples": dataset, "fractions": {"train": 0.5, "val": 0.5}}
    job = queue.submit("split", given, dataset)
    log = log_file(service.get(ObjectId(job.id)))
    log.write_text("output")
    worker.main(target)
    assert job.refresh().state == "completed"
    assert dataset.count_sample_tags() == {"train": 2, "val": 2}
    assert not log.exists()
    service.delete_operation(ObjectId(job.id))
    worker.main(target)  # nothing is queued: canceled before its turn
    assert not processes.has_worker(target)
