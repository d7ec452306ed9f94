"""What a network says of an image is computed once, kept, and found again; and nothing else is."""

import os
import shutil
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from kept import CLOSE, counting, features_in, folder_of, fresh_of, kept_of
from made_runs import SIZE, make_run, some_digits
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import feature_files, feature_sources, kept_features
from fiftyone_gradcam.dataset.features import features_of
from fiftyone_gradcam.dataset.files import dataset_folder
from fiftyone_gradcam.dataset.leftovers import find_leftovers, free
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.decode import DecodeOptions
from fiftyone_gradcam.training import frozen


@pytest.fixture
def dataset(tmp_path, name):
    """Some digits of three classes."""
    yield from some_digits(tmp_path / "digits", name, per_class=5)


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


def test_a_prediction_by_another_layer_leaves_no_features(dataset):
    run = make_run(dataset, "a")
    fg.predict(dataset, "a", layer="features.stage2", progress=False)
    assert not list(Path(dataset_folder(dataset)).rglob("*.features"))
    with counting() as counts:
        assert kept_of(dataset, run) == pytest.approx(fresh_of(dataset, run), **CLOSE)
    assert counts.forwarded == 2 * len(dataset)  # once each


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


def test_features_of_a_run_that_was_deleted_elsewhere_go_with_the_next_ones(dataset):
    first, second, third = (make_run(dataset, key, seed=n) for n, key in enumerate("abc"))
    kept_of(dataset, first)
    kept_of(dataset, second)
    dataset.delete_run("a")  # by FiftyOne, which knows nothing of features
    assert os.path.isdir(folder_of(dataset, first))
    kept_of(dataset, third)
    there = [os.path.isdir(folder_of(dataset, run)) for run in (first, second, third)]
    assert there == [False, True, True]


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


def test_a_row_belongs_to_one_version_of_a_file_and_one_way_to_decode_it(tmp_path):
    sample, other = "a" * 24, "b" * 24
    path = tmp_path / "one" / "cat" / "1.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"123")
    os.utime(path, ns=(5, 10**18))

    def key(own=path, sample_id=sample, **options) -> bytes:
        (found,) = kept_features.keys_of([sample_id], [str(own)], DecodeOptions(**options))
        return found

    first = key()
    assert (len(first), first[:12].hex()) == (20, sample)
    seen = {first, key(sample_id=other), key(keep_truncated=True), key(max_pixels=1000)}
    assert len(seen) == 4
    # The folder may move; what the file is called, and its class, may not.
    moved = tmp_path / "two" / "cat" / "1.png"
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    os.utime(moved, ns=(7, 10**18))
    assert key(moved) == first
    for name in ("cat/2.png", "dog/1.png"):
        again = tmp_path / "two" / name
        again.parent.mkdir(exist_ok=True)
        moved = moved.rename(again)
        assert key(moved) not in seen
        seen.add(key(moved))
    os.utime(path, ns=(5, 10**18 + 1000))
    seen.add(key())
    path.write_bytes(b"1234")
    os.utime(path, ns=(5, 10**18))
    seen.add(key())
    assert len(seen) == 8
    path.unlink()
    assert key() is None
