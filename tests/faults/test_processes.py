"""Jobs whose process is killed, a database that ends, files that go, two processes at once."""

from __future__ import annotations

import os
import random
import signal
import time

import comparing
import conftest
import pytest
from conftest import QUICK, save_digits, worker_of
from counted import counted, expect, repeating
from made_runs import make_run
from pymongo.errors import PyMongoError
from stories import Place, as_stored

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.durable import wait_for_disk
from fiftyone_gradcam.dataset.run_files import can_resume
from fiftyone_gradcam.jobs.processes import is_alive

pytestmark = pytest.mark.slow

PER_CLASS = 60
TRAINING = {**QUICK, "epochs": 8, "device": "cpu"}
ISSUES = {"folds": 2, "epochs": 2, "backbone": "small_cnn", "weights": "none", "device": "cpu"}


def empty(place: Place) -> None:
    save_digits(place.photos, per_class=PER_CLASS)


def split(place: Place) -> None:
    empty(place)
    fg.import_folders(str(place.photos), place.name, progress=False)
    fg.split(place.dataset, {"train": 0.5, "val": 0.2, "test": 0.3})


def with_runs(place: Place) -> None:
    split(place)
    for seed, key in enumerate("ab"):
        make_run(place.dataset, key, seed=seed, files=False)


def predicted(place: Place) -> None:
    with_runs(place)
    fg.predict(place.dataset, "a", device="cpu", progress=False)


def train(place: Place, **options) -> object:
    return fg.fine_tune(place.dataset, "first", **TRAINING, **options)


def train_again(place: Place) -> object:
    if state(place) == _expected["fine_tune"]:
        return None  # it was done: to train again, or to resume without more epochs, is refused
    if can_resume(place.dataset, "first"):
        return fg.fine_tune(place.dataset, "first", resume=True, device="cpu", progress=False)
    return train(place, progress=False)


CALLS = {
    "import": (empty, lambda p, **o: fg.import_folders(str(p.photos), p.name, **o), None),
    "fine_tune": (split, train, train_again),
    "predict": (with_runs, lambda p, **o: fg.predict(p.dataset, "a", device="cpu", **o), None),
    "predict by another run": (
        predicted,
        lambda p, **o: fg.predict(p.dataset, "b", device="cpu", **o),
        None,
    ),
    "find_label_issues": (
        split,
        lambda p, **o: fg.find_label_issues(p.dataset, **ISSUES, **o),
        None,
    ),
}  # fmt: skip
_expected: dict[str, object] = {}


def begin(name: str, folder) -> Place:
    """A place where a story can begin; what it comes to by itself is known afterwards."""
    prepare, call, _ = CALLS[name]
    if name not in _expected:
        place = Place(folder / "alone", f"alone {name}")
        prepare(place)
        call(place, progress=False)
        _expected[name] = state(place)
        place.clean()
    place = Place(folder / "disturbed", f"killed {name}")
    prepare(place)
    wait_for_disk()  # what the story is about begins now
    return place


def state(place: Place) -> object:
    return as_stored(place, comparing.state_of(place.dataset))


def finish(name: str, place: Place) -> None:
    """Call again, and compare with what comes undisturbed."""
    _, call, again = CALLS[name]
    with repeating(name):
        again(place) if again else call(place, progress=False)
    found = state(place)
    expect(found == _expected[name], "not repeated", comparing.difference(found, _expected[name]))
    left = comparing.remains(place)
    expect(left == [], "left over", f"{left}")


def until(condition, seconds: float = 90.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("sign", ["SIGKILL", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("name", CALLS)
def test_a_job_that_is_killed_can_be_called_again(name, sign, number, tmp_path):
    place = begin(name, tmp_path)
    share = random.Random(f"{name} {sign} {number}").uniform(0, 0.95)
    try:
        job = CALLS[name][1](place, delegate=True)
        until(lambda: job.refresh().has_ended or (job.state == "running" and job.progress >= share))
        if not job.has_ended:
            os.kill(int(worker_of(job).rsplit(" ", 2)[1]), getattr(signal, sign))
        until(lambda: job.refresh().has_ended)
        # A signal may come when all is done: that is no fault, and is counted by itself.
        with counted(name, sign if job.state != "completed" else f"{sign} too late"):
            assert job.state in ("lost", "failed", "completed", "cancelled"), str(job)
            finish(name, place)
    finally:
        place.clean()


@pytest.mark.parametrize("name", CALLS)
def test_a_database_that_was_killed_comes_back(name, tmp_path):
    place = begin(name, tmp_path)
    share = random.Random(f"{name} database").uniform(0.1, 0.9)
    try:
        job = CALLS[name][1](place, delegate=True)
        until(lambda: job.refresh().has_ended or (job.state == "running" and job.progress >= share))
        worker = worker_of(job)
        with counted(name, "database killed"):
            conftest.DATABASE.kill()
            conftest.DATABASE.start()
            until(lambda: job.refresh().has_ended)  # it may have got over it
            until(lambda: not is_alive(worker))
            finish(name, place)
    finally:
        place.clean()


@pytest.mark.parametrize("at", [1, 90])
@pytest.mark.parametrize("name", ["import", "predict", "predict by another run"])
def test_a_database_that_lost_its_last_writes_while_a_call_went_on(name, at, tmp_path):
    """It is back before the call writes again: pymongo says nothing, and fields may be gone."""
    place, process = begin(name, tmp_path), conftest.DATABASE.process

    def kill(done: int, total: int, message: str) -> None:
        if done >= at and conftest.DATABASE.process is process:
            conftest.DATABASE.kill()
            conftest.DATABASE.start()

    try:
        with counted(name, "database started again"):
            said = ""
            try:
                CALLS[name][1](place, progress=kill)
            except (RuntimeError, PyMongoError) as error:
                said = str(error)
            assert name != "import" or "again, and it continues" in said
            assert conftest.DATABASE.process is not process
            finish(name, place)
    finally:
        place.clean()


@pytest.mark.parametrize("name", ["import", "predict", "predict by another run"])
def test_two_processes_at_once_do_it_once(name, tmp_path):
    place = begin(name, tmp_path)
    try:
        jobs = [CALLS[name][1](place, delegate=True)]
        CALLS[name][1](place, progress=False)  # in this process, while the job is at it
        with counted(name, "two at once"):
            until(lambda: jobs[0].refresh().has_ended)
            assert jobs[0].state == "completed", str(jobs[0])
            found, wanted = state(place), _expected[name]
            expect(found == wanted, "mixed", comparing.difference(found, wanted))
            finish(name, place)
    finally:
        place.clean()


@pytest.mark.parametrize("what", ["deleted", "replaced", "unreadable", "away"])
def test_files_that_go_take_no_results_with_them(what, tmp_path):
    place = begin("predict", tmp_path)
    try:
        fg.predict(place.dataset, "a", device="cpu", progress=False)
        before = dict(comparing.samples_of(place.dataset))
        gone = sorted(place.dataset.values("filepath"))[::3]
        kept = {}
        for path in gone:
            with open(path, "rb") as file:
                kept[path] = file.read()
            os.unlink(path)
            if what == "replaced":
                with open(path, "wb") as file:
                    file.write(b"no image")
            if what == "unreadable":
                os.mkdir(path)
        with counted("predict", f"files {what}"):
            fg.predict(place.dataset, "a", device="cpu", progress=False)
            now = dict(comparing.samples_of(place.dataset))
            for path, values in before.items():
                is_stale = what == "replaced" and path in gone  # what it held is no more
                is_lost = (now[path].get("prediction") is None) != is_stale
                expect(not is_lost and (is_stale or now[path] == values), "lost", path)
            for path, data in kept.items():
                if os.path.isdir(path):
                    os.rmdir(path)
                with open(path, "wb") as file:
                    file.write(data)
            finish("predict", place)
    finally:
        place.clean()
