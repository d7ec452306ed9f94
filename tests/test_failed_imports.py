"""Imports that are cancelled, killed or cannot be written, and what the next one makes of it."""

import errno
import os
import re
import signal

import fiftyone as fo
import pytest
from conftest import REPOSITORY, save_digits
from forking import Python
from pymongo.errors import AutoReconnect

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import adding
from fiftyone_gradcam.dataset.files import dataset_folder
from fiftyone_gradcam.dataset.replacing import leaving_of, successor_of


def cancelling_after(count: int):
    def report(done: int, total: int, message: str) -> None:
        if done > count:
            raise fg.CancelledError

    return report


def test_a_cancelled_import_goes_on(tmp_path, name, monkeypatch):
    monkeypatch.setattr(adding, "BATCH", 5)
    root = save_digits(tmp_path / "d", per_class=6)
    message = f"12 images were imported. Import {str(root)!r} into {name!r} again to add"
    with pytest.raises(fg.CancelledError, match=message):
        fg.import_folders(str(root), name, progress=cancelling_after(12))
    part = fo.load_dataset(name)
    assert len(part) == 12  # also those of a batch that was not full
    assert part.info["import_folders"]["whole"] is False
    steps = []
    whole = fg.import_folders(str(root), name, progress=lambda *step: steps.append(step[:2]))
    assert steps[-1] == (6, 6)
    assert whole.info["import_folders"]["whole"]
    other = fg.import_folders(str(root), f"{name} other", progress=False)
    try:
        fields = ["filepath", "ground_truth.label", "metadata.width", "tags"]
        assert whole.values(fields) == other.values(fields)
    finally:
        other.delete()
    # Nothing of a replacement stays, nor of one that has not started.
    ids = whole.values("id")
    with pytest.raises(fg.CancelledError, match="nothing was imported or changed"):
        fg.import_folders(str(root), name, overwrite=True, progress=cancelling_after(12))
    assert fo.load_dataset(name).values("id") == ids
    with pytest.raises(fg.CancelledError, match="nothing was imported or changed"):
        fg.import_folders(str(root), f"{name} third", progress=cancelling_after(0))
    assert [x for x in fo.list_datasets() if x.startswith(name)] == [name]


def test_what_a_killed_replacement_left_is_cleared_up(tmp_path, name):
    root = save_digits(tmp_path / "d", per_class=2)
    fg.import_folders(str(root), name, progress=False)
    own = {"path": str(root), "label_field": "ground_truth", "whole": False, "replaces": name}
    left = fo.Dataset(f"{name} (new)", persistent=True)
    left.info["import_folders"] = own
    left.save()
    assert len(fg.import_folders(str(root), name, progress=False)) == 6
    assert not fo.dataset_exists(f"{name} (new)")
    # Killed between taking the old one away and giving its name to the new one.
    whole = fo.load_dataset(name)
    whole.info["import_folders"] |= {"replaces": name}
    whole.save()
    whole.name = f"{name} (new)"
    again = fg.import_folders(str(root), name, progress=False)
    assert again.values("id") == whole.values("id")
    assert not fo.dataset_exists(f"{name} (new)")
    # So now, at each of the points where it may be cut off.
    other = successor_of(name)
    left = fo.Dataset(other, persistent=True)  # before it is marked
    assert again.values("id") == fg.import_folders(str(root), name, progress=False).values("id")
    for is_whole in (False, True):
        left = fo.load_dataset(name).clone(other, persistent=True)
        left.info["import_folders"] |= {"replaces": name, "whole": is_whole}
        left.save()
        if is_whole:  # and what was replaced before is still to be deleted
            fo.load_dataset(name).clone(leaving_of(name), persistent=True)
        ids = left.values("id") if is_whole else again.values("id")
        assert fg.import_folders(str(root), name, progress=False).values("id") == ids
        assert not any(map(fo.dataset_exists, (other, leaving_of(name))))
    assert "replaces" not in fo.load_dataset(name).info["import_folders"]
    ids = fo.load_dataset(name).values("id")
    fo.load_dataset(name).clone(leaving_of(name), persistent=True)  # it was to be deleted
    assert fg.import_folders(str(root), name, progress=False).values("id") == ids
    assert not fo.dataset_exists(leaving_of(name))
    held = fo.load_dataset(name)
    theirs = fo.Dataset(f"{name} (new)", persistent=True)  # the user's is in nobody's way
    assert len(fg.import_folders(str(root), name, overwrite=True, progress=False)) == 6
    assert [x for x in fo.list_datasets() if name in x] == [name, theirs.name]
    assert held.deleted
    assert fo.load_dataset(name).name == name
    theirs.delete()


KILLED = """
import sys
sys.path.insert(0, {repository!r})
import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import adding
adding.BATCH = 20
write = adding._write
def write_and_wait(result, batch, label_field):
    write(result, batch, label_field)
    if len(result.dataset) >= {least}:
        print("written", flush=True)
        sys.stdin.read()  # until it is killed
adding._write = write_and_wait
fg.import_folders({root!r}, {name!r}, progress=False)
"""


def test_an_import_that_is_killed_goes_on(tmp_path, name):
    root = save_digits(tmp_path / "d", per_class=100)
    for least in (60, 120, 200):
        code = KILLED.format(repository=str(REPOSITORY), root=str(root), name=name, least=least)
        process = Python(code)
        while (line := process.stdout.readline()).strip() != "written":
            assert line
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert len(fo.load_dataset(name)) == least
        process.communicate()
    whole = fg.import_folders(str(root), name, progress=False)
    other = fg.import_folders(str(root), f"{name} other", progress=False)
    try:
        fields = ["filepath", "ground_truth.label", "metadata.width", "tags"]
        assert whole.values(fields) == other.values(fields)
        assert len(whole) == 300
    finally:
        other.delete()


def test_a_report_that_cannot_be_written_undoes_nothing(tmp_path, name, monkeypatch, capsys):
    root = save_digits(tmp_path / "d", per_class=4)
    (root / "digit 0" / "000.png").write_bytes(b"no image")

    def full(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        dataset = fg.import_folders(str(root), name)
    printed = capsys.readouterr().out
    assert re.search(r"the report .*import\.csv cannot be written: No space left on dev", printed)
    assert len(dataset) == 11
    info = dataset.info["import_folders"]
    assert info["skipped"] == {"not an image": 1}
    assert info["report"] is None
    folder = dataset_folder(dataset)
    assert os.listdir(folder) == []  # no part of it either
    assert os.listdir(os.path.dirname(fg.import_folders(str(root), name).info["import_folders"][
        "report"
    ])) == ["import.csv"]  # fmt: skip


def test_a_database_that_cannot_be_written_is_named_and_the_next_import_completes(
    tmp_path, name, monkeypatch
):
    root = save_digits(tmp_path / "d", per_class=4)
    monkeypatch.setattr(adding, "BATCH", 5)
    add, calls = fo.Dataset.add_samples, []

    def add_some(self, samples, **options):
        calls.append(len(samples))
        if len(calls) == 2:
            raise AutoReconnect("connection closed")
        return add(self, samples, **options)

    with monkeypatch.context() as patch:
        patch.setattr(fo.Dataset, "add_samples", add_some)
        with pytest.raises(RuntimeError, match="cannot be written.*Is its disk full.*again"):
            fg.import_folders(str(root), name, progress=False)
    assert len(fo.load_dataset(name)) == 5
    whole = fg.import_folders(str(root), name, progress=False)
    assert len(set(whole.values("filepath"))) == len(whole) == 12
