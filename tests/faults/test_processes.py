"""Jobs whose process is killed, a database that ends, files that go, two processes at once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter

import comparing
import conftest
import pytest
from bson import ObjectId
from conftest import QUICK, save_digits
from fiftyone.operators.delegated import DelegatedOperationService
from made_runs import make_run
from stories import Place

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.runs import can_resume

pytestmark = pytest.mark.slow

COUNTS: Counter = Counter()
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
_expected: dict[str, dict] = {}


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
    return place


def state(place: Place) -> str:
    found = comparing.state_of(place.dataset)
    return str(found).replace(str(place.folder), "HERE").replace(place.name, "IT")


def finish(name: str, place: Place, kind: str) -> None:
    """Call again, and compare with what comes undisturbed."""
    _, call, again = CALLS[name]
    again(place) if again else call(place, progress=False)
    assert state(place) == _expected[name]
    assert comparing.files_of_nobody(place.dataset) == []
    COUNTS[name, kind] += 1


def until(condition, seconds: float = 90.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def pid_of(job: fg.Job) -> int:
    """The process that works on a job."""
    operation = DelegatedOperationService().get(ObjectId(job.id))
    return int(operation.run_link.rsplit(" ", 2)[1])


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("sign", ["SIGKILL", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("name", CALLS)
def test_a_job_that_is_killed_can_be_called_again(name, sign, number, tmp_path):
    place = begin(name, tmp_path)
    share = random.Random(f"{name} {sign} {number}").uniform(0, 0.95)
    try:
        job = CALLS[name][1](place, delegate=True)
        until(lambda: job.refresh().has_ended or (job.state == "running" and job.progress >= share))
        pid = pid_of(job)
        if not job.has_ended:
            os.kill(pid, getattr(signal, sign))
        until(lambda: job.refresh().has_ended)
        assert job.state in ("lost", "failed", "completed", "cancelled"), str(job)
        finish(name, place, sign)
    finally:
        place.clean()


@pytest.mark.parametrize("name", CALLS)
def test_a_database_that_was_killed_comes_back(name, tmp_path):
    place = begin(name, tmp_path)
    share = random.Random(f"{name} database").uniform(0.1, 0.9)
    try:
        job = CALLS[name][1](place, delegate=True)
        until(lambda: job.refresh().has_ended or (job.state == "running" and job.progress >= share))
        pid = pid_of(job)
        conftest.DATABASE.kill()
        conftest.DATABASE.start()
        end = time.monotonic() + 90
        while not job.refresh().has_ended:  # it may have got over it
            assert time.monotonic() < end, str(job)
            time.sleep(0.1)
        assert job.state == "completed" or not os.path.exists(f"/proc/{pid}")
        finish(name, place, "database killed")
    finally:
        place.clean()


@pytest.mark.parametrize("name", ["import", "predict", "predict by another run"])
def test_two_processes_at_once_do_it_once(name, tmp_path):
    place = begin(name, tmp_path)
    try:
        jobs = [CALLS[name][1](place, delegate=True)]
        CALLS[name][1](place, progress=False)  # in this process, while the job is at it
        until(lambda: jobs[0].refresh().has_ended)
        assert jobs[0].state == "completed", str(jobs[0])
        assert state(place) == _expected[name]
        finish(name, place, "two at once")
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
        fg.predict(place.dataset, "a", device="cpu", progress=False)
        now = dict(comparing.samples_of(place.dataset))
        for path, values in before.items():
            is_stale = what == "replaced" and path in gone  # what it held is no more
            assert (now[path].get("prediction") is None) == is_stale, path
            if not is_stale:
                assert now[path] == values, path
        for path, data in kept.items():
            if os.path.isdir(path):
                os.rmdir(path)
            with open(path, "wb") as file:
                file.write(data)
        finish("predict", place, f"files {what}")
    finally:
        place.clean()


@pytest.fixture(scope="module", autouse=True)
def _summary():
    yield
    print("\nProcesses, databases and files that went, by verb and kind:")
    for (name, kind), count in sorted(COUNTS.items()):
        print(f"  {name:24} {kind:16} {count}")
    print(f"  {sum(COUNTS.values())} in all")
