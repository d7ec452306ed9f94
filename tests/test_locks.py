"""Locks between processes and threads."""

import os
import subprocess
import sys
import threading
import time

import psutil
import pytest
from conftest import REPOSITORY

from fiftyone_gradcam import locks

HOLD = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from fiftyone_gradcam.locks import locked\n"
    "with locked(sys.argv[2], 'It'):\n"
    "    print('mine', flush=True); sys.stdin.read()\n"
)


@pytest.fixture
def target(tmp_path) -> str:
    return f"a test {tmp_path}"


@pytest.fixture
def hold(target):
    """Starts processes that take the lock, and keep it until their input ends."""
    started = []

    def start() -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(REPOSITORY), target],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_lock_is_one_process_s_at_a_time_and_is_given_back_by_the_dead(hold, target):
    first = hold()
    assert first.stdout.readline() == "mine\n"
    second = hold()
    assert second.stdout.readline() == (
        "It is being changed by another process: waiting for it to end ...\n"
    )
    first.kill()
    assert second.stdout.readline() == "mine\n"
    second.stdin.close()
    assert second.wait(10) == 0
    with locks.locked(target) as waited:
        assert not waited


def test_patience_ends_with_an_error_that_says_what_to_do(hold, target):
    assert hold().stdout.readline() == "mine\n"
    before = psutil.Process().num_fds()
    with (
        pytest.raises(TimeoutError, match="^Dataset 'x' is being changed by another process. Wait"),
        locks.locked(target, "Dataset 'x'", patience=0.3),
    ):
        pass
    assert psutil.Process().num_fds() == before  # or a server that asks often runs out of them


def test_who_had_to_wait_is_said(hold, target):
    first = hold()
    assert first.stdout.readline() == "mine\n"
    timer = threading.Timer(0.5, first.stdin.close)
    timer.start()
    with locks.locked(target) as waited:
        assert waited


def test_a_thread_may_take_a_lock_again_and_another_may_not(target):
    tried = []

    def other():
        try:
            with locks.locked(target, patience=0.2):
                tried.append("taken")
        except TimeoutError:
            tried.append("busy")

    def run_other() -> str:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return tried.pop()

    with locks.locked(target):
        with locks.locked(target):
            assert run_other() == "busy"
        assert run_other() == "busy"
    assert run_other() == "taken"


def test_what_a_process_holds_its_threads_may_take_one_at_a_time(target):
    """A job's process waits for its turn, and FiftyOne then calls the verb in another thread."""
    order = []

    def work(name: str):
        with locks.locked(target):
            order.append(name)
            time.sleep(0.05)
            order.append(name)

    with locks.held_by_process(target):
        threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert order in (list("aabb"), list("bbaa"))


def test_the_file_of_a_lock_that_was_removed_while_waiting_is_not_taken_for_the_lock(hold, target):
    """Who waits for a file that the one before removes would else share the lock with a third."""
    first = hold()
    assert first.stdout.readline() == "mine\n"
    second = hold()
    assert second.stdout.readline().startswith("It is being changed")
    first.stdin.close()  # removes the file, for which the second waits
    assert second.stdout.readline() == "mine\n"
    with pytest.raises(TimeoutError), locks.locked(target, patience=0.3):
        pass


def test_the_own_folder_is_private_and_needs_no_name_of_a_user(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("USER", "LOGNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = locks.own_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    assert locks.own_folder().stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name != "posix", reason="users are numbers on POSIX alone")
def test_a_folder_of_somebody_else_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"fiftyone-gradcam-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="belongs to another user"):
        locks.own_folder()
