"""Files of features that are damaged, cut off or many; and numbers of any size."""

import signal
from pathlib import Path

import numpy as np
import pytest
from forking import Python
from hypothesis import given, settings
from hypothesis import strategies as st
from kept import CLOSE, counting, folder_of, fresh_of, kept_of
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import feature_files, feature_sources, kept_features
from fiftyone_gradcam.dataset.feature_files import FeatureWriter, open_features
from fiftyone_gradcam.dataset.files import dataset_folder
from fiftyone_gradcam.dataset.writing import writing


@pytest.fixture
def dataset(tmp_path, name):
    """Some digits of three classes."""
    yield from some_digits(tmp_path / "digits", name, per_class=5)


KILLED = """
import os, signal, sys
import numpy as np
from fiftyone_gradcam.dataset.feature_files import FeatureWriter
writer = FeatureWriter(sys.argv[1])
writer.add([bytes(20)] * 1000, np.ones((1000, 128)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_was_killed_leaves_nothing_that_is_read(dataset):
    run = make_run(dataset, "a")
    folder = Path(folder_of(dataset, run))
    child = Python(KILLED, str(folder))
    printed = child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL, printed
    assert [path.suffix for path in folder.iterdir()] == [".part"]
    found = kept_of(dataset, run)
    assert found == pytest.approx(fresh_of(dataset, run), **CLOSE)
    assert sorted(path.suffix for path in folder.iterdir()) == [".features", ".json"]


SECOND = """
import sys
import fiftyone as fo
import torch
import fiftyone_gradcam as fg
dataset, seen = fo.load_dataset(sys.argv[1]), []
def see(module, inputs, output):
    if torch.is_tensor(output):  # what is traced makes none
        seen.append(module)
hook = torch.nn.modules.module.register_module_forward_hook(see)
fg.load_run(dataset, "a").network()  # a process checks its convolutions once
seen.clear()
print("ready", flush=True)
found = fg.compute_embeddings(dataset, "a", progress=False)
print("computed", len(seen), repr(float(found.sum())), flush=True)
"""


def test_of_two_processes_one_computes_and_the_other_waits_and_reads(dataset):
    make_run(dataset, "a")
    dataset.persistent = True  # for another process
    with writing(dataset):
        child = Python(SECOND, dataset.name)
        while child.stdout.readline() != "ready\n":
            assert child.poll() is None
        own = fg.compute_embeddings(dataset, "a", progress=False)
    lines = child.communicate(timeout=120)[0].splitlines()
    assert lines[-1] == f"computed 0 {float(own.sum())!r}"
    assert child.returncode == 0


@pytest.mark.parametrize("damage", ["cut", "emptied", "other", "gone"])
def test_damaged_files_cost_time_alone(dataset, damage):
    run = make_run(dataset, "a")
    before = kept_of(dataset, run)
    (path,) = Path(folder_of(dataset, run)).glob("*.features")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": content[:-1], "emptied": b"", "other": b"x" * 999}[damage])
    with counting() as counts:
        assert kept_of(dataset, run).tolist() == before.tolist()
        assert kept_of(dataset, run).tolist() == before.tolist()
    assert counts.forwarded == len(dataset)


def test_a_full_disk_is_reported_and_nothing_else_fails(dataset, monkeypatch, capsys):
    run = make_run(dataset, "a")
    add, calls = FeatureWriter.add, []

    def full(self, keys, values):
        calls.append(keys)
        add(self, keys, values)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FeatureWriter, "add", full)
    view = fg.predict(dataset, "a", progress=False)
    assert len(view) == len(dataset)
    assert len(calls) == 3  # once for the features, and once for each kind of pixels
    assert capsys.readouterr().out.count("The disk is full. They are computed again") == 3
    assert not list(Path(dataset_folder(dataset)).rglob("features/*/*"))
    monkeypatch.undo()
    assert kept_of(dataset, run) == pytest.approx(fresh_of(dataset, run), **CLOSE)


def test_what_was_seen_before_a_pass_was_cancelled_is_kept(dataset):
    run = make_run(dataset, "a")

    def cancel(done, total, message):
        if done >= 4:
            raise fg.CancelledError

    with pytest.raises(fg.CancelledError):
        fg.predict(dataset, "a", batch_size=4, progress=cancel)
    (file,) = feature_files.feature_files(folder_of(dataset, run))
    with counting() as counts:
        found = kept_of(dataset, run)
    assert counts.forwarded == len(dataset) - len(file.records)
    assert found == pytest.approx(fresh_of(dataset, run), **CLOSE)


def test_many_small_files_become_one_with_the_newest_rows(dataset, monkeypatch):
    monkeypatch.setattr(kept_features, "MOST_FILES", 3)
    ids, paths = dataset.values(["id", "filepath"])
    source = feature_sources.Source("many", "a backbone")

    def keep(places, number):
        kept = kept_features.Kept(dataset, source, ids, paths)
        kept.add(np.array(places), np.full((len(places), 5), number))
        kept.close()
        return len(list(Path(kept.folder).glob("*.features")))

    counts = [keep([0, 1], 1.0), keep([2], 2.0), keep([1, 3], 3.0)]
    dataset.delete_samples(ids[0])
    counts.append(keep([4], 4.0))
    assert counts == [1, 2, 3, 1]
    kept = kept_features.Kept(dataset, source, ids, paths)
    assert kept.read()[:6, 0].tolist() == pytest.approx([np.nan, 3, 2, 3, 4, np.nan], nan_ok=True)


FINITE = st.floats(-(2.0**127), 2.0**127, width=32)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(FINITE, min_size=3, max_size=3), min_size=1, max_size=4))
def test_any_size_of_number_keeps_ten_bits(tmp_path_factory, rows):
    values = np.array(rows, np.float32)
    folder = str(tmp_path_factory.mktemp("rows"))
    writer = FeatureWriter(folder)
    writer.add([bytes([i]) * 20 for i in range(len(values))], values)
    file = open_features(writer.commit())
    assert file.keys() == [bytes([i]) * 20 for i in range(len(values))]
    found = file.rows(np.arange(len(values)))
    assert found.tolist() == feature_files.rounded(values).tolist()
    # Of a row, what is less than 2^-14 of its largest is kept less well.
    peaks = np.abs(values).max(1, keepdims=True)
    floor = np.maximum(peaks * 2.0**-22, 1e-40)
    assert (np.abs(found - values) <= np.abs(values) * 2.0**-11 + floor).all()


def test_features_of_a_run_are_gone_with_the_last_run_that_has_them(tmp_path):
    folder = str(tmp_path)

    def noted(run: str | None) -> dict:
        feature_sources.note_source(folder, feature_sources.Source("d", "a network", run))
        return feature_sources._noted(folder)

    assert noted("1") == {"network": "a network", "runs": ["1"]}
    assert noted("2")["runs"] == ["1", "2"]
    for versions, is_gone in ((["1", "2"], False), (["2", "3"], False), (["3"], True), ([], True)):
        assert feature_sources.is_gone(folder, versions) is is_gone
    assert noted(None)["runs"] == []  # of a backbone that stays
    assert noted("1")["runs"] == []
    assert not feature_sources.is_gone(folder, [])


def test_what_float16_takes_is_kept_as_float16_has_it():
    values = np.random.default_rng(0).gamma(1, 2, (50, 64)).astype(np.float32)
    assert feature_files.rounded(values).tolist() == values.astype(np.float16).tolist()


def test_rows_of_another_width_are_of_another_network(tmp_path):
    for width, names in ((3, "ab"), (4, "bc")):
        writer = FeatureWriter(str(tmp_path))
        writer.add([name.encode() * 20 for name in names], np.full((2, width), float(width)))
        writer.commit()
    wanted = {name.encode() * 20: place for place, name in enumerate("abcd")}
    for width, there in ((3, [True, True, False, False]), (4, [False, True, True, False])):
        found = np.full((4, width), np.nan, np.float32)
        assert feature_files.read_rows(str(tmp_path), wanted, found) is found
        assert (found[there] == width).all()
        assert np.isnan(found[~np.array(there)]).all()


@pytest.mark.parametrize("step", ["make_folder", "read", "second row", "fsync", "replace"])
def test_a_merge_that_fails_leaves_the_files_as_they_were(tmp_path, monkeypatch, step):
    """Wherever the disk is full, or the user interrupts."""
    random, keys = np.random.default_rng(0), [bytes([n] * 20) for n in range(6)]
    for n in range(0, 6, 2):
        writer = FeatureWriter(str(tmp_path))
        writer.add(keys[n : n + 2], random.normal(size=(2, 3)))
        writer.commit()
    before, added = tree(tmp_path), []

    def fail(*_):
        raise error

    def second(writer, *given):
        added.append(given)
        return fail() if len(added) == 2 else add(writer, *given)

    add = FeatureWriter.add
    monkeypatch.setattr(*{
        "make_folder": (feature_files, "make_folder", fail),
        "read": (feature_files.FeatureFile, "rows", fail),
        "second row": (FeatureWriter, "add", second),
        "fsync": (feature_files.os, "fsync", fail),
        "replace": (feature_files.os, "replace", fail),
    }[step])  # fmt: skip
    for error in (OSError(28, "No space left on device"), KeyboardInterrupt()):
        added.clear()
        with pytest.raises(type(error)):
            feature_files.merge_files(str(tmp_path), {key[:12] for key in keys})
        assert tree(tmp_path) == before
    monkeypatch.undo()
    feature_files.merge_files(str(tmp_path), {key[:12] for key in keys})
    assert len(tree(tmp_path)) == 1


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
