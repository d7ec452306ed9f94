"""Measurements of a training's speed: which is reused, which gives way, and what it answers."""

import json
import socket
import subprocess
import sys
import threading
import time

import pytest

from fiftyone_gradcam.jobs import measure
from fiftyone_gradcam.jobs.measure import KEEP_SECONDS, NO_MATTER, Measurements, _Process
from fiftyone_gradcam.jobs.processes import name_of

REQUEST = {"recipe": "default", "choices": {"epochs": 3, "batch_size": 4}, "classes": 2,
           "paths": ["/x"]}  # fmt: skip
KEY = json.dumps({"choices": {"batch_size": 4}, "classes": 2, "recipe": "default"})


class Waiting:
    """Stands for a process: it answers when the test lets it."""

    def __init__(self, request: dict):
        self.request, self.was_ended = request, False
        self.goes_on = threading.Event()
        made.append(self)

    def answer(self) -> dict | None:
        assert self.goes_on.wait(60)
        return None if self.was_ended else {"speed": len(made)}

    def end(self) -> None:
        self.was_ended = True
        self.goes_on.set()


made: list[Waiting] = []


@pytest.fixture
def measurements(monkeypatch):
    made.clear()
    monkeypatch.setattr(measure, "_Process", Waiting)
    found = Measurements()
    monkeypatch.setattr(measure, "_measurements", found)
    yield found
    for one in made:
        one.goes_on.set()


def test_a_measurement_is_reused_for_a_quarter_of_an_hour(measurements):
    now, found = time.monotonic(), {"speed": "known"}
    measurements.found[KEY] = now - KEEP_SECONDS + 60, found
    assert measure.known(REQUEST) == found
    for choices in ({"batch_size": 4}, {"batch_size": 4, **dict.fromkeys(NO_MATTER, 5)}):
        other = {"classes": 2, "paths": [], "choices": choices, "recipe": "default"}
        assert measure.measured(other, 0.0) == found
    assert (made, measurements.going) == ([], None)
    assert measure.known({**REQUEST, "classes": 3}) is None
    assert measure.known({**REQUEST, "choices": {"batch_size": 5}}) is None
    measurements.found[KEY] = now - KEEP_SECONDS - 1, found
    assert measure.known(REQUEST) is None
    assert made == []
    assert measure.measured(REQUEST, 0.0) is None  # it is measured again
    assert [one.request for one in made] == [
        {**REQUEST, "choices": {"batch_size": 4}, "yields": False},
    ]


def test_one_measurement_at_a_time(measurements):
    kept, other = [], {**REQUEST, "classes": 3}
    assert not measure.is_measuring()
    measure.stop_measuring()  # there is nothing to end
    assert measure.measured(REQUEST, 0.0, yields=True, keep=kept.append) is None
    assert measure.is_measuring()
    assert measure.measured(REQUEST, 0.0, yields=True) is None  # the same: it is waited for
    assert len(made) == 1
    assert made[0].request["yields"] is True
    # One that nobody waits for leaves it alone; any other ends it.
    assert measure.measured(other, 0.0, yields=True) is None
    assert (len(made), made[0].was_ended) == (1, False)
    assert measure.measured(other, 0.0) is None
    assert (len(made), made[0].was_ended, made[1].was_ended) == (2, True, False)
    assert kept == []
    threading.Timer(0.05, made[1].goes_on.set).start()
    assert measure.wait_for_measurement(60.0)
    assert measure.known(other) == measure.measured(other, 60.0) == {"speed": 2}
    assert measure.known(REQUEST) is None
    assert not measure.is_measuring()
    assert measurements.going.thread.daemon  # a process that ends does not wait for it
    measurements.stop()
    assert not made[1].was_ended  # it has answered
    # When none is in progress, one that nobody waits for is started.
    assert measure.measured(REQUEST, 0.0, yields=True, keep=kept.append) is None
    threading.Timer(0.05, made[2].goes_on.set).start()
    assert measure.measured(REQUEST, 60.0, yields=True) == {"speed": 3}
    assert measure.wait_for_measurement(60.0)
    assert kept == [{"speed": 3}]


def test_a_job_that_starts_ends_a_measurement(measurements):
    measure.measured(REQUEST, 0.0)
    measure.stop_measuring()
    assert made[0].was_ended
    assert measure.wait_for_measurement(60.0)
    assert measure.known(REQUEST) is None
    measure.measured(REQUEST, 0.0)
    assert len(made) == 2  # it has not been measured: it starts again


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("import sys; print('a warning'); print(sys.stdin.read())", {"asked": 1}),
        ("print(1); print('{')", {"error": "no measurement"}),
        ("pass", {"error": "no measurement"}),
        ("raise ValueError('no\\nmemory')", {"error": "memory"}),
    ],
)
def test_the_last_line_of_a_process_is_its_answer(code, answer):
    process = _Process.__new__(_Process)
    process.was_ended, process._text = False, json.dumps({"asked": 1})
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process._started = subprocess.Popen([sys.executable, "-S", "-c", code], text=True, **pipes)
    assert process.answer() == answer


def test_a_process_that_was_ended_answers_nothing():
    process = _Process.__new__(_Process)
    process.was_ended, process._text = False, "{}"
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    wait = [sys.executable, "-S", "-c", "import sys; print('{}', flush=True); sys.stdin.read()"]
    process._started = subprocess.Popen(wait, text=True, **pipes)
    process.end()
    assert process._started.wait(60) == -15
    assert (process.answer(), process.was_ended, process.is_forked) == (None, True, False)


def test_a_forked_process_is_ended_by_its_name():
    code = "import sys; print('started', flush=True); sys.stdin.read()"
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    other = subprocess.Popen([sys.executable, "-S", "-c", code], **pipes)
    assert other.stdout.readline() == b"started\n"
    ours, theirs = socket.socketpair()
    process = _Process.__new__(_Process)
    process.was_ended, process._started = False, None
    process._name, process._connection = name_of(other.pid), ours
    assert process.is_forked
    theirs.sendall(b'\xff\n{"speed": 1}')  # output of others may come first
    theirs.close()
    assert process.answer() == {"speed": 1}
    assert process.answer() == {"error": "no measurement"}  # its connection is closed
    process.end()
    assert other.wait(60) == -15
    process.end()  # it has gone: no other process gets its signal
    assert process.answer() is None
    for file in (other.stdin, other.stdout):
        file.close()
