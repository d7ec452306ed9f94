"""Processes that are killed or interrupted while they import or split, and two at once."""

import random
import signal
import time
from collections import Counter

import fiftyone as fo
import pytest
from conftest import REPOSITORY, save_digits
from fiftyone.core.odm import get_db_conn
from forking import Python

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.fields import field_info
from fiftyone_gradcam.dataset.replacing import leaving_of, successor_of
from fiftyone_gradcam.dataset.splits import check_whole

CHILD = """
import sys
sys.path.insert(0, {repository!r})
import fiftyone as fo
import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import adding
adding.BATCH = 5
fo.list_datasets(), fg.import_folders, fg.split
print("ready", flush=True)
sys.stdin.readline()
{call}
"""
IMPORT = "fg.import_folders({root!r}, {name!r}, progress=False, overwrite={overwrite})"
SPLIT = "fg.split(fo.load_dataset({name!r}), {{'train': 0.5, 'val': 0.5}}, seed=3)"


class Child:
    """A process that waits for a word before it makes a call."""

    def __init__(self, call: str):
        self.process = Python(CHILD.format(repository=str(REPOSITORY), call=call))

    def wait_until_ready(self) -> None:
        while (line := self.process.stdout.readline()).strip() != "ready":
            assert line, self.process.stderr.read()

    def go(self) -> None:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> tuple[int, str]:
        """Wait for its end; its exit status, and what it printed."""
        out, errors = self.process.communicate(timeout=120)
        return self.process.returncode, out + errors


def size_of(name: str) -> int:
    """How many samples a dataset has by now, as the database knows it."""
    database = get_db_conn()
    found = database.datasets.find_one({"name": name}, ["sample_collection_name"])
    return database[found["sample_collection_name"]].estimated_document_count() if found else 0


def stop_when(child: Child, is_due, number: int) -> bool:
    """Send a signal as soon as something has happened; whether the process was still at work."""
    end = time.monotonic() + 60
    while not is_due() and child.process.poll() is None:
        assert time.monotonic() < end
    is_inside = child.process.poll() is None
    child.process.send_signal(number)
    child.end()
    return is_inside


def paths_and_labels(dataset) -> list:
    return sorted(zip(*dataset.values(["filepath", "ground_truth.label"]), strict=True))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_imports_that_are_cut_off_are_completed(tmp_path, name, number):
    root = save_digits(tmp_path / "d", per_class=100)
    draws, inside = random.Random(int(number)), 0
    children = [Child(IMPORT.format(root=str(root), name=name, overwrite=False)) for _ in range(2)]
    for turn, child in enumerate(children):
        child.wait_until_ready()
        least = 100 * turn + draws.randint(1, 80)
        child.go()
        inside += stop_when(child, lambda least=least: size_of(name) >= least, number)
        if number == signal.SIGKILL:
            assert least <= size_of(name) < 300
        else:  # as it was: nothing
            assert not fo.dataset_exists(name)
    assert inside == 2
    whole = fg.import_folders(str(root), name, progress=False)
    assert len(whole) == len(set(whole.values("filepath"))) == 300
    assert Counter(whole.values("ground_truth.label")) == {f"digit {n}": 100 for n in range(3)}
    assert whole.info["import_folders"]["whole"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_replacing_imports_that_are_cut_off_leave_nothing_in_the_way(tmp_path, name, number):
    root = save_digits(tmp_path / "d", per_class=100)
    dataset = fg.import_folders(str(root), name, progress=False)
    dataset.set_values("note", ["mine"] * 300)
    ids = dataset.values("id")
    other, draws, inside = successor_of(name), random.Random(int(number)), 0
    least = draws.randint(5, 295)
    moments = [lambda: fo.dataset_exists(other), lambda: size_of(other) >= least]
    children = [Child(IMPORT.format(root=str(root), name=name, overwrite=True)) for _ in moments]
    for child, moment in zip(children, moments, strict=True):
        child.wait_until_ready()
        child.go()
        inside += stop_when(child, moment, number)
        dataset.reload()
        assert dataset.values("id") == ids
        assert dataset.values("note") == ["mine"] * 300
    assert inside == 2
    again = fg.import_folders(str(root), name, progress=False)
    assert again.values("id") == ids
    assert not [x for x in fo.list_datasets() if name in x and x != name]
    final = fg.import_folders(str(root), name, progress=False, overwrite=True)
    assert len(final) == 300
    assert final.get_field("note") is None
    assert not fo.dataset_exists(other)
    assert not fo.dataset_exists(leaving_of(name))


def settle(name: str) -> None:
    """Wait until the database has carried out what it was asked to do."""
    database = get_db_conn()
    collection = database.datasets.find_one({"name": name})["sample_collection_name"]
    end = time.monotonic() + 30
    while any(
        op.get("ns", "").endswith(collection) and op.get("op") in ("update", "command")
        for op in database.client.admin.command("currentOp", active=True)["inprog"]
    ):
        assert time.monotonic() < end


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_splits_that_are_cut_off_are_there_or_not(name, number):
    dataset = fo.Dataset(name, persistent=True)
    label = fo.Classification
    dataset.add_samples(
        [fo.Sample(f"/{n}.png", ground_truth=label(label=str(n % 4))) for n in range(2_000)],
        progress=False,
    )
    fg.split(dataset, folds=4)
    first = dataset.values("tags")
    expected = dataset.clone()
    fg.split(expected, {"train": 0.5, "val": 0.5}, seed=3)
    second = expected.values("tags")
    expected.delete()
    source, seen = random.Random(int(number)), set()
    children = [Child(SPLIT.format(name=name)) for _ in range(2)]
    for child in children:
        child.wait_until_ready()
        child.go()
        later = source.uniform(0, 0.1)
        begun: list[float] = []

        def is_due(later: float = later, begun: list[float] = begun) -> bool:
            own = get_db_conn().datasets.find_one({"name": name}, ["info.splits"])["info"]["splits"]
            if own.get("whole") is False and not begun:
                begun.append(time.monotonic())
            return bool(begun) and time.monotonic() > begun[0] + later

        stop_when(child, is_due, number)
        settle(name)
        dataset.reload()
        tags = dataset.values("tags")
        assert tags in (first, second)
        seen.add(tags == second)
        if dataset.info["splits"].get("whole") is False:
            with pytest.raises(ValueError, match=r"was interrupted .* Call split\(\) again"):
                check_whole(dataset)
        fg.split(dataset, {"train": 0.5, "val": 0.5}, seed=3)
        check_whole(dataset)
        assert dataset.values("tags") == second
        fg.split(dataset, folds=4)
        assert dataset.values("tags") == first
    assert seen


def test_two_processes_at_once_import_each_file_once(tmp_path, name):
    root = save_digits(tmp_path / "d", per_class=80)
    calls = [IMPORT.format(root=str(root), name=name, overwrite=False)] * 2
    children = [Child(call) for call in calls]
    for child in children:
        child.wait_until_ready()
    for child in children:
        child.go()
    said = [child.end() for child in children]
    assert [status for status, _ in said] == [0, 0], said
    added = sorted(
        text.count("240 images added") - text.count("0 images added,") for _, text in said
    )
    assert added == [-1, 0]
    dataset = fo.load_dataset(name)
    assert len(dataset) == len(set(dataset.values("filepath"))) == 240


def test_a_job_and_a_call_wait_for_each_other(tmp_path, name):
    root = save_digits(tmp_path / "d", per_class=60)
    job = fg.import_folders(str(root), name, delegate=True)
    own = fg.import_folders(str(root), name, progress=False)
    job.wait(120)
    own.reload()
    assert len(own) == len(set(own.values("filepath"))) == 180
    again = fg.import_folders(str(root), name, overwrite=True, delegate=True)
    assert len(fg.import_folders(str(root), name, progress=False)) == 180
    again.wait(120)
    assert len(fo.load_dataset(name)) == 180
    assert not [x for x in fo.list_datasets() if name in x and x != name]


def test_a_field_of_imported_labels_that_lost_its_signature_gets_it_back(digits, name):
    """A database that was killed may keep the values, and not what the field is."""
    dataset = fg.import_folders(str(digits), name, progress=False)
    wanted = field_info(dataset, "imported_label")
    assert wanted["label_field"] == "ground_truth"

    def forget() -> None:
        field = dataset.get_field("imported_label")
        field.description = field.info = None
        field.save()
        dataset.reload()

    forget()
    fg.import_folders(str(digits), name, progress=False)
    dataset.reload()
    assert field_info(dataset, "imported_label") == wanted
    assert "as it was imported" in dataset.get_field("imported_label").description
    forget()
    sample = dataset.first()
    sample["imported_label"] = "the user's"  # then the field is the user's
    sample.save()
    fg.import_folders(str(digits), name, progress=False)
    dataset.reload()
    assert field_info(dataset, "imported_label") == {}
    assert dataset.first().imported_label == "the user's"
