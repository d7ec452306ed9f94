"""What a network says of an image is computed once, kept, and found again; and nothing else is."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import SIZE, make_run, some_digits
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import feature_files, feature_sources, kept_features
from fiftyone_gradcam.dataset.feature_files import FeatureWriter, open_features
from fiftyone_gradcam.dataset.features import features_of
from fiftyone_gradcam.dataset.files import dataset_folder
from fiftyone_gradcam.dataset.leftovers import find_leftovers, free
from fiftyone_gradcam.dataset.writing import writing
from fiftyone_gradcam.images import batches
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.training import frozen

CLOSE = {"rel": 2**-10, "abs": 1e-5}  # of float16, and of folded batch norms


@pytest.fixture
def dataset(tmp_path, name):
    """Some digits of three classes."""
    yield from some_digits(tmp_path / "digits", name, per_class=5)


class Counts:
    """How many images were forwarded and decoded."""

    def __init__(self):
        self.forwarded = self.decoded = 0


@contextmanager
def counting():
    """Count the images that the first layers of all networks see, and those that are decoded."""
    counts, decode = Counts(), batches.decode

    def see(module, inputs, output):
        if isinstance(module, torch.nn.Conv2d) and module.in_channels == 3:
            counts.forwarded += len(inputs[0])

    def counted(*args):
        counts.decoded += 1
        return decode(*args)

    hook = torch.nn.modules.module.register_module_forward_hook(see)
    try:
        with patch.object(batches, "decode", counted):
            yield counts
    finally:
        hook.remove()


def kept_of(dataset, run, ids=None, resize="squash") -> np.ndarray:
    """Features by the network of a run."""
    view = dataset if ids is None else dataset.select(ids, ordered=True)
    ids, paths = view.values(["id", "filepath"])
    images = Images(paths, SIZE, resize=run.recipe["resize"])
    return features_of(dataset, ids, images, run.network("cpu"), lambda *_: None, run)


def fresh_of(dataset, run) -> np.ndarray:
    """The same by the network as it was stored, caught on its way: with nothing folded or kept."""
    model, found = run.load_model(), []
    layer = model.get_submodule(run.layer)
    hook = layer.register_forward_hook(lambda _, __, output: found.append(output))
    images = Images(dataset.values("filepath"), SIZE, resize=run.recipe["resize"])
    (batch,) = images.batches(len(dataset))
    with torch.no_grad():
        model(get_backbone("small_cnn").normalize(batch.images))
    hook.remove()
    return found[0].mean((2, 3)).numpy()


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_predict_leaves_its_features_behind(dataset, resize):
    run = make_run(dataset, "a", resize=resize)
    with counting() as counts:
        fg.predict(dataset, "a", progress=False)
    assert (counts.forwarded, counts.decoded) == (len(dataset), len(dataset))
    with counting() as counts:
        found = kept_of(dataset, run)
        some = dataset.values("id")[7:2:-2]
        assert kept_of(dataset, run, some).tolist() == found[7:2:-2].tolist()
    assert (counts.forwarded, counts.decoded) == (0, 0)
    assert found == pytest.approx(fresh_of(dataset, run), **CLOSE)
    (file,) = feature_files.feature_files(folder_of(dataset, run))
    assert isinstance(file.values, np.memmap)
    assert file.values.dtype == np.float16
    assert file.values.shape == (len(dataset), 128)
    with counting() as counts:
        fg.predict(dataset, "a", progress=False)
    assert counts.forwarded == len(dataset)  # it has heatmaps to make, and nothing to keep
    assert len(list(Path(folder_of(dataset, run)).glob("*.features"))) == 1


def folder_of(dataset, run) -> str:
    """Where the features of a run are kept."""
    return feature_sources.folder_of(
        dataset, feature_sources.source_of(dataset, run.network("cpu"), run)
    )


def test_what_is_computed_is_what_is_read(dataset):
    run = make_run(dataset, "a")
    with counting() as counts:
        first = kept_of(dataset, run, dataset.values("id")[:5])
        whole = kept_of(dataset, run)
        again = kept_of(dataset, run)
    assert (counts.forwarded, counts.decoded) == (len(dataset), len(dataset))
    assert first.tolist() == whole[:5].tolist()
    assert whole.tolist() == again.tolist()  # to the bit: nobody can tell what was computed
    assert whole == pytest.approx(fresh_of(dataset, run), **CLOSE)


def test_a_file_that_changed_is_computed_again_and_no_other(dataset):
    run = make_run(dataset, "a")
    before = kept_of(dataset, run)
    path = dataset.values("filepath")[4]
    Image.open(dataset.values("filepath")[9]).save(path)
    with counting() as counts:
        after = kept_of(dataset, run)
    assert counts.forwarded == 1
    assert np.flatnonzero((before != after).any(1)).tolist() == [4]
    assert after[4].tolist() == pytest.approx(before[9].tolist())
    stat = os.stat(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))  # by one nanosecond
    with counting() as counts:
        assert kept_of(dataset, run).tolist() == after.tolist()
    assert counts.forwarded == 1
    os.unlink(path)
    images = Images(dataset.values("filepath"), SIZE)
    network = run.network("cpu")
    gone = features_of(dataset, dataset.values("id"), images, network, lambda *_: None, run)
    assert np.isnan(gone[4]).all()
    assert list(images.failures) == [4]
    assert np.isfinite(np.delete(gone, 4, 0)).all()


def test_another_network_shares_nothing_and_the_same_one_all(dataset):
    first, other = make_run(dataset, "a"), make_run(dataset, "b", seed=1)
    twin = make_run(dataset, "c")  # the same weights
    cropped = make_run(dataset, "d", resize="crop")
    a = kept_of(dataset, first)
    with counting() as counts:
        b, d = kept_of(dataset, other), kept_of(dataset, cropped)
    assert counts.forwarded == 2 * len(dataset)
    assert np.abs(a - b).max() > 0.01
    assert b == pytest.approx(fresh_of(dataset, other), **CLOSE)
    assert d == pytest.approx(fresh_of(dataset, cropped), **CLOSE)
    with counting() as counts:
        assert kept_of(dataset, twin).tolist() == a.tolist()
    assert counts.forwarded == 0


def test_verbs_of_one_network_forward_once(dataset, digit_weights):
    options = {"backbone": "small_cnn", "weights": digit_weights, "progress": False}
    fg.split(dataset, {"train": 0.5, "val": 0.5})
    with counting() as counts:
        leaks = fg.find_leaks(dataset, **options)
    assert (counts.forwarded, counts.decoded) == (len(dataset), len(dataset))
    with counting() as counts:
        fg.split(dataset, {"train": 0.5, "val": 0.5}, groups="near duplicates", **options)
        judged = fg.find_label_issues(dataset, folds=2, **options)
        assert fg.find_leaks(dataset, **options).values("id") == leaks.values("id")
    assert (counts.forwarded, counts.decoded) == (0, 0)
    assert len(judged) == len(dataset)


def test_a_network_whose_features_are_kept_is_not_loaded_again(dataset, digit_weights, tmp_path):
    file = tmp_path / "weights.pt"
    shutil.copyfile(digit_weights, file)
    options = {"backbone": "small_cnn", "weights": str(file), "progress": False}
    fg.split(dataset, {"train": 0.5, "val": 0.5})
    fg.find_leaks(dataset, **options)
    with patch.object(frozen, "create_model", side_effect=AssertionError("loaded")):
        fg.find_leaks(dataset, **options)
        with pytest.raises(ValueError, match="'nowhere'"):
            fg.find_leaks(dataset, **options, device="nowhere")
    # Other weights in the place of the file are other features.
    state = torch.load(file)
    first = next(name for name, tensor in state.items() if tensor.ndim == 4)
    torch.save({**state, first: -state[first]}, file)
    with counting() as counts:
        fg.find_leaks(dataset, **options)
    assert counts.forwarded == len(dataset)
    with patch.object(frozen, "create_model", side_effect=AssertionError("loaded")):
        fg.find_leaks(dataset, **options)


def test_a_run_that_is_deleted_frees_its_features(dataset):
    run, other = make_run(dataset, "a"), make_run(dataset, "b", seed=1)
    fg.predict(dataset, "a", progress=False)
    kept_of(dataset, other)
    assert len(features_in(dataset)) == 4  # of both, and two kinds that are of pixels alone
    fg.rename_run(dataset, "a", "c")
    with counting() as counts:
        kept_of(dataset, fg.load_run(dataset, "c"))
    assert counts.forwarded == 0
    fg.delete_run(dataset, "c")
    assert {Path(folder).name for folder in features_in(dataset)} == {
        Path(folder_of(dataset, other)).name,
        *(f"{kind}-{SIZE}-{run.recipe['resize']}" for kind in ("measures", "thumbnails")),
    }
    fg.delete_run(dataset, "b")
    assert features_in(dataset) == []


def features_in(dataset) -> list[str]:
    """Folders of all sources of features of a dataset."""
    home = Path(dataset_folder(dataset), "features")
    return sorted(map(str, home.iterdir())) if home.is_dir() else []


def test_a_clone_finds_features_keeps_them_and_frees_its_own_alone(dataset, name):
    run = make_run(dataset, "a")
    before = kept_of(dataset, run)
    clone = dataset.clone(f"{name} clone")
    try:
        own = fg.load_run(clone, "a")
        with counting() as counts:
            assert kept_of(clone, own).tolist() == before.tolist()
            fg.delete_run(dataset, "a")
            assert features_in(dataset) == []
            assert kept_of(clone, own).tolist() == before.tolist()
        assert counts.forwarded == 0
        fg.delete_run(clone, "a")
        assert features_in(clone) == []
    finally:
        clone.delete()


def test_doctor_lists_features_of_no_use_alone(dataset):
    for old in find_leftovers(least_age=0):  # of other tests in this session
        shutil.rmtree(old.folder)
    gone, stays = make_run(dataset, "a", files=False), make_run(dataset, "b", seed=1, files=False)
    for run in (gone, stays):
        kept_of(dataset, run)
    ids, paths = dataset.values(["id", "filepath"])
    for key in ("old", "new"):  # of no run, as those of a backbone are
        kept = kept_features.Kept(dataset, feature_sources.Source(key, "a backbone"), ids, paths)
        kept.add(np.arange(2), np.ones((2, 3)))
        kept.close()
    month_ago = os.stat(paths[0]).st_mtime - 31 * 24 * 3600
    note = Path(dataset_folder(dataset), "features", "old", "network.json")
    os.utime(note, (month_ago, month_ago))
    part = Path(folder_of(dataset, stays), ".abc.part")
    part.write_bytes(b"of a process that was killed")
    folder = folder_of(dataset, gone)
    dataset.delete_run("a")
    (found,) = find_leftovers(least_age=0)
    useless = {str(part), *map(str, note.parent.iterdir())}
    useless |= {str(path) for path in Path(folder).iterdir()}
    useless.add(gone.checkpoint)
    assert {*found.files} == useless
    free(found)
    assert len(features_in(dataset)) == 2
    with counting() as counts:
        kept_of(dataset, stays)
    assert counts.forwarded == 0


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
    home = Path(feature_files.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=home, check=False)
    assert done.returncode == -signal.SIGKILL
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
fg.load_run(dataset, "a").load_model()
print("ready", flush=True)
found = fg.compute_embeddings(dataset, "a", progress=False)
print("computed", len(seen), repr(float(found.sum())), flush=True)
"""


def test_of_two_processes_one_computes_and_the_other_waits_and_reads(dataset):
    make_run(dataset, "a")
    dataset.persistent = True  # for another process
    home = Path(feature_files.__file__).parents[2]
    given = [sys.executable, "-c", SECOND, dataset.name]
    with writing(dataset):
        child = subprocess.Popen(given, cwd=home, stdout=subprocess.PIPE, text=True)
        while child.stdout.readline() != "ready\n":
            assert child.poll() is None
        own = fg.compute_embeddings(dataset, "a", progress=False)
    told = child.communicate(timeout=120)[0].splitlines()
    assert told[-1] == f"computed 0 {float(own.sum())!r}"
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


def test_a_full_disk_is_told_and_nothing_else_fails(dataset, monkeypatch, capsys):
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


def test_what_float16_takes_is_kept_as_float16_has_it():
    values = np.random.default_rng(0).gamma(1, 2, (50, 64)).astype(np.float32)
    assert feature_files.rounded(values).tolist() == values.astype(np.float16).tolist()
