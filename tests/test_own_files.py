"""Files that belong to a dataset: which are in use and which are useless, by paths and bytes."""

import os
import time
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest

from fiftyone_gradcam.dataset import files, leftovers
from fiftyone_gradcam.dataset.feature_files import (
    FOOTER,
    FeatureWriter,
    feature_files,
    merge_files,
    open_features,
    packed,
    remove_parts,
)
from fiftyone_gradcam.dataset.feature_sources import (
    NOTE,
    Source,
    folder_of,
    note_source,
    remove_gone,
    useless_features,
)
from fiftyone_gradcam.dataset.kept_features import keys_of
from fiftyone_gradcam.dataset.kept_neighbors import kept_of, nearest_kept
from fiftyone_gradcam.images.decode import DEFAULT

ID = "0123456789abcdef01234567"


@pytest.fixture
def dataset(name, tmp_path) -> fo.Dataset:
    """Samples with files of six bytes."""
    dataset = fo.Dataset(name)
    for place in range(5):
        path = tmp_path / f"{place}.png"
        path.write_bytes(b"sample")
        dataset.add_sample(fo.Sample(filepath=str(path), tags=["odd"] * (place % 2)))
    yield dataset
    home = files.dataset_folder(dataset)
    files.remove_files(files.files_below(home), home)


def own(*parts: str) -> str:
    return os.path.join(files.files_folder(), *parts)


def test_the_end_of_a_path_starts_with_the_id_of_its_dataset():
    assert files.end_of(own(ID, "runs", "r", "model.pt")) == f"{ID}/runs/r/model.pt"
    assert files.end_of(own(ID)) == ID
    for other in (own("runs", "r"), own(ID.upper(), "x"), own(f"{ID}0", "x"), f"/{ID}/x"):
        assert files.end_of(other) is None


def test_a_folder_to_write_to_is_empty_unless_it_may_be_written_into(tmp_path):
    home = tmp_path / "a" / "b"
    assert files.ready_folder(str(home), False) == str(home)
    assert files.ready_folder(str(home), False) == str(home)
    (home / "x").write_text("x")
    message = (
        f"^The folder {home} is not empty. Choose another, or pass overwrite=True to write into it "
        f"and replace files of the same names$"
    )
    with pytest.raises(FileExistsError, match=message):
        files.ready_folder(str(home), False)
    assert files.ready_folder(str(home), True) == str(home)
    for overwrite in (False, True):
        with pytest.raises(NotADirectoryError, match=rf"^{home}/x is a file. Name a folder$"):
            files.ready_folder(str(home / "x"), overwrite)


def test_files_that_nobody_uses_go_with_folders_that_become_empty(tmp_path, dataset):
    home = own(str(dataset._doc.id), "runs")
    for name in ("r/model.pt", "r/state.pt", "s/old.pt", "s/t/new.pt"):
        os.makedirs(os.path.dirname(os.path.join(home, name)), exist_ok=True)
        with open(os.path.join(home, name), "w") as file:
            file.write(name)
    used = {f"{dataset._doc.id}/runs/r/model.pt"}
    assert files.remove_unused(home, used, [os.path.join(home, "s", "t", "new.pt")]) == 2
    found = sorted(os.path.relpath(path, home) for path in files.files_below(home))
    assert found == ["r/model.pt", "s/t/new.pt"]
    assert files.remove_unused(home, used) == 1
    assert os.listdir(home) == ["r"]
    assert files.remove_run_files(dataset, "r", keep=["model.pt"]) == 0
    assert files.remove_run_files(dataset, "r") == 1
    assert not os.path.exists(os.path.join(home, "r"))
    assert files.remove_run_files(dataset, "r") == 0
    # Of files elsewhere, those go that are of a run of this database and that no run uses.
    paths = [own(str(dataset._doc.id), kind, "r", "x.pt") for kind in ("runs", "heatmaps")]
    paths += [own(ID, "runs", "r", "x.pt"), own(str(dataset._doc.id), "runs", "y.pt")]
    for path in paths:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).touch()
    assert files.remove_run_files(dataset, "q", [*paths, None, paths[0], "/x/y/z/u"]) == 1
    assert [os.path.exists(path) for path in paths] == [False, True, True, True]
    assert not os.path.exists(os.path.dirname(paths[0]))
    os.makedirs(own(files.OWNERS), exist_ok=True)
    for text, left in (("no JSON", True), ("[1]", True), (None, False)):
        if text is None:
            os.unlink(files.owner_note(ID))
            files.note_owner(ID, "gone")
            assert files.owner_of(ID)["dataset"] == "gone"
        else:
            with open(files.owner_note(ID), "w") as file:
                file.write(text)
            assert files.owner_of(ID) == {}
        assert files.remove_run_files(dataset, "q", paths) == (not left)
        assert os.path.exists(paths[2]) is left
    assert files.remove_heatmap_files(dataset, [paths[1], None, paths[1]]) == 1
    files.remove_files(files.files_below(own(ID)), own(ID))
    os.unlink(files.owner_note(ID))


@pytest.mark.parametrize(
    ("place", "stray", "waiting"),
    [
        ("runs/r/model.pt", True, True),
        ("runs/r/state.pt", False, False),
        ("runs/.r/state.pt", True, True),
        ("runs/r/s/state.pt", True, True),
        ("heatmaps/cam/state.pt", True, False),
        ("jobs/x.log", False, False),
        ("features/new/1.features", False, False),
        ("features/old/1.features", True, True),
        ("features/new/1.part", True, True),
        ("features/new/x/1.features", True, True),
        ("features/1.features", True, True),
    ],
)
def test_files_of_a_dataset_that_are_of_no_use(place, stray, waiting):
    path = own(ID, *place.split("/"))
    assert leftovers._is_stray(path, False, {"old"}) is stray
    assert leftovers._is_stray(path, True, {"old"}) is waiting


def test_leftovers_are_described_in_words():
    since = time.mktime((2026, 1, 2, 3, 4, 0, 0, 0, -1))
    left = leftovers.Leftover("/f", ("/f/x",), 1_250_000, since, "", False)
    words = "/f: 1 file, 1.2 MB, since 2026-01-02 03:04, of "
    assert str(left) == f"{words}an unknown dataset, perhaps of another database"
    left = leftovers.Leftover("/f", ("/f/x",), 1_250_000, since, "d", True)
    assert str(left) == f"{words}dataset 'd'"


def write(folder, keys: list[bytes], values) -> str | None:
    writer = FeatureWriter(str(folder))
    writer.add(keys, np.array(values, np.float32))
    return writer.commit()


def test_rows_that_are_not_finite_are_not_written(tmp_path):
    home, keys = tmp_path / "f", [bytes([n]) * 20 for n in range(3)]
    writer = FeatureWriter(str(home))
    writer.add(keys[:1], np.array([[np.nan, 1]]))
    assert (writer.count, writer.commit(), home.exists()) == (0, None, False)
    path = write(home, keys, [[1, 2], [np.inf, 2], [3, 4]])
    found = open_features(path)
    assert (found.keys(), found.rows(np.arange(2)).tolist()) == (
        [keys[0], keys[2]],
        [[1, 2], [3, 4]],
    )
    whole = Path(path).read_bytes()
    for wrong in (
        b"",
        whole[:-1],
        whole[1:],
        b"x" + whole,
        whole[:-20] + b"Features" + whole[-12:],
    ):
        (home / "wrong.features").write_bytes(wrong)
        assert open_features(str(home / "wrong.features")) is None
    for width, count in ((2, 0), (0, 1), (0, 0)):
        end = np.array([(b"features", width, count)], FOOTER).tobytes()
        (home / "wrong.features").write_bytes(b"\0" * 24 * count + end)
        assert open_features(str(home / "wrong.features")) is None
    (home / "other.part").write_bytes(whole)
    (home / "other.txt").write_bytes(whole)
    later = write(home, keys[:1], [[5, 6]])
    assert [one.path for one in feature_files(str(home))] == [later, path]  # the newest first
    assert list(feature_files(str(tmp_path / "gone"))) == []
    remove_parts(str(home))
    remove_parts(str(tmp_path / "gone"))
    assert sorted(os.listdir(home)) == sorted(
        [*map(os.path.basename, (path, later)), "other.txt", "wrong.features"]
    )


def test_the_scale_of_a_row_is_one_as_long_as_float16_takes_its_numbers():
    values = np.array([[32767, 1], [32768, 1], [2.0**-3, 0], [2.0**-4, 0], [0, 0]], np.float32)
    stored, scale = packed(values)
    # 2^15 is 0.5 * 2^16, and 2^-3 is 0.5 * 2^-2; a row of zeros needs no scale.
    assert scale.tolist() == [1, 2.0**16, 1, 2.0**-3, 1]
    assert (stored.astype(float) * scale[:, None]).tolist() == [
        [32768, 1],
        [32768, 1],
        [2.0**-3, 0],
        [2.0**-4, 0],
        [0, 0],
    ]


def test_files_of_another_width_go_when_files_are_merged(tmp_path):
    keys = [bytes([n]) * 12 + b"version1" for n in range(3)]
    write(tmp_path, keys, [[1, 2]] * 3)
    write(tmp_path, keys[:1], [[1, 2, 3]])
    write(tmp_path, [keys[0][:12] + b"version2"], [[5, 6]])
    merge_files(str(tmp_path), {key[:12] for key in keys[:2]})
    (file,) = feature_files(str(tmp_path))
    assert file.keys() == [keys[0][:12] + b"version2", keys[1]]
    assert file.rows(np.arange(2)).tolist() == [[5, 6], [1, 2]]
    merge_files(str(tmp_path), set())
    assert list(feature_files(str(tmp_path))) == []


def test_features_are_useless_once_their_run_is_gone_or_nobody_read_them_for_a_month(dataset):
    home = os.path.join(files.dataset_folder(dataset), files.FEATURES)
    sources = [Source("a" * 32, "x", "gone"), Source("b" * 32, "x"), Source("size-1", "pixels")]
    for source in sources:
        note_source(folder_of(dataset, source), source)
    dataset_id = str(dataset._doc.id)
    assert useless_features(dataset_id) == {"a" * 32}
    for days, useless in ((29, {"a" * 32}), (31, {"a" * 32, "b" * 32})):
        then = time.time() - days * 24 * 3600
        os.utime(os.path.join(home, "b" * 32, NOTE), (then, then))
        assert useless_features(dataset_id) == useless
    os.makedirs(os.path.join(home, "without a note"))
    assert useless_features(dataset_id) == {"a" * 32, "b" * 32, "without a note"}
    os.rmdir(os.path.join(home, "without a note"))
    remove_gone(dataset, but="a" * 32)
    assert len(os.listdir(home)) == 3
    remove_gone(dataset)
    assert sorted(os.listdir(home)) == ["b" * 32, "size-1"]
    note_source(folder_of(dataset, sources[0]), sources[0])
    os.unlink(os.path.join(home, "b" * 32, NOTE))
    os.rmdir(os.path.join(home, "b" * 32))
    remove_gone(dataset)  # with the last network, its pixels go
    assert not os.path.exists(home)
    assert useless_features(dataset_id) == set()
    assert useless_features(ID) == set()


def test_the_nearest_images_are_those_whose_files_are_what_was_seen(dataset):
    source = Source("c" * 32, "x")
    assert kept_of(dataset, source) is None
    folder = folder_of(dataset, source)
    os.makedirs(folder)
    assert kept_of(dataset, source) is None  # there is no file of features
    ids, paths = dataset.values(["id", "filepath"])
    keys = keys_of(ids, paths, DEFAULT)
    assert keys_of(ids[:1], ["/gone.png"], DEFAULT) == [None]
    write(folder, keys[:1], [[9.0]])  # of another width, and older
    rows = np.array([[1, 0, 7], [1, 0.1, 7], [1, 0.5, 7], [0, 1, 7], [0.9, 0, 7]]) ** 2
    write(folder, keys, rows)
    asked = rows[0].astype(np.float32)
    found = nearest_kept(dataset, source, asked, ids[0], 9)
    assert [sample for sample, _ in found] == [ids[1], ids[4], ids[2], ids[3]]
    # By hand: signed roots in units of their deviation; the last is the same for all.
    roots = np.sqrt(rows)[:, :2]
    units = (roots - roots.mean(0)) / roots.std(0)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    assert [cosine for _, cosine in found] == pytest.approx(
        [float(units[0] @ units[place]) for place in (1, 4, 2, 3)], abs=1e-3
    )
    assert nearest_kept(dataset, source, asked, ids[0], 2) == found[:2]
    assert nearest_kept(dataset, source, asked, ids[0], 9, "odd") == [found[0], found[3]]
    assert nearest_kept(dataset, source, asked[:2], ids[0], 9) is None
    with open(paths[4], "w") as file:
        file.write("changed meanwhile")
    dataset.delete_samples(ids[2])
    assert nearest_kept(dataset, source, asked, ids[0], 9) == [found[0], found[3]]
    kept = kept_of(dataset, source)
    assert kept_of(dataset, source) is kept
    write(folder, keys[:1], [[4.0, 0, 7]])
    assert kept_of(dataset, source) is not kept
