"""Clones share the files of their originals: none is deleted that another dataset shows."""

import os
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId
from fiftyone.core.odm import get_db_conn
from made_runs import FILES, logits_of, make_run, some_digits, tree

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import files, references, runs, tidying
from fiftyone_gradcam.dataset.files import dataset_folder, files_folder, run_folder
from fiftyone_gradcam.dataset.heatmaps import heatmap_pixels

RUN_FILES = [name for name in FILES if name != "state.pt"]


@pytest.fixture
def dataset(tmp_path, name):
    """Some digits of three classes, with a run "a", its predictions and heatmaps."""
    for dataset in some_digits(tmp_path / "digits", name):
        make_run(dataset, "a")
        fg.predict(dataset, "a", heatmaps=("predicted", "label"))
        yield dataset
        for clone in fo.list_datasets(f"{name} *"):
            fo.delete_dataset(clone)


def clone_of(dataset, name="clone", **options):
    """A clone whose name the fixture knows."""
    return dataset.clone(f"{dataset.name} {name}", **options)


def what_it_shows(dataset) -> dict:
    """All that a user sees of a dataset: predictions, heatmaps by their pixels, runs, logits."""
    found = {"runs": {}}
    for name in ("prediction", "gradcam", "gradcam_label"):
        if dataset.get_field(name) is None:
            continue
        values = dataset.values(name)
        is_map = isinstance(values[0], fo.Heatmap)
        read = heatmap_pixels if is_map else lambda label: (label.label, label.confidence)
        found[name] = [np.asarray(read(value)).tolist() for value in values]
    for key in fg.list_runs(dataset):
        run = fg.load_run(dataset, key)
        pictures = [run.curves, run.watch["maps"], run.watch["strip"]]
        contents = [Path(path).read_bytes() for path in pictures]
        found["runs"][key] = (logits_of(run, dataset.values("filepath")).tolist(), contents)
    return found


def check_whole(dataset, before):
    """Nothing of a dataset was touched, and its run predicts as it did."""
    dataset.reload()
    assert what_it_shows(dataset) == before
    view = fg.predict(dataset, "a", prediction_field="again", heatmaps=(), progress=False)
    assert view.values("again.label") == dataset.values("prediction.label")
    dataset.delete_sample_fields(["again", "again_scores"])


def files_of(*datasets) -> set[str]:
    """Ends of the paths of all files that these datasets refer to."""
    found = set()
    for dataset in datasets:
        for name in ("gradcam", "gradcam_label"):
            if dataset.get_field(name) is not None:
                found |= {
                    os.path.relpath(p, files_folder()) for p in dataset.values(f"{name}.map_path")
                }
        for key in fg.list_runs(dataset):
            found |= {os.path.relpath(p, files_folder()) for p in runs.paths_of(dataset, key)}
    return found


def all_files(*datasets) -> set[str]:
    """The same of all files in the folders of these datasets, but for features, which nobody refers
    to."""
    found = set()
    for dataset in datasets:
        folder = dataset_folder(dataset)
        names = [path for path in tree(folder) if not path.startswith("features")]
        found |= {os.path.join(os.path.basename(folder), path) for path in names}
    return found


CHANGES = {
    "delete_run": lambda ds: fg.delete_run(ds, "a"),
    "predict again": lambda ds: fg.predict(ds, "a", heatmaps=("predicted", "label")),
    "predict otherwise": lambda ds: fg.predict(
        ds, "a", heatmaps=("predicted", "label"), method="hirescam"
    ),
    "rename_run": lambda ds: fg.rename_run(ds, "a", "b"),
    "another run": lambda ds: make_run(ds, "b", seed=7) and fg.predict(ds, "b"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("who", ["original", "clone"])
def test_what_one_deletes_the_other_keeps(dataset, who, change):
    clone = clone_of(dataset, persistent=change != "predict again")
    pair = [dataset, clone] if who == "original" else [clone, dataset]
    before = what_it_shows(pair[1])
    CHANGES[change](pair[0])
    check_whole(pair[1], before)
    CHANGES["delete_run"](pair[1])
    left = files_of(dataset, clone)  # and nothing is left that neither refers to
    states = {path for path in all_files(dataset, clone) if path.endswith("state.pt")}
    assert all_files(dataset, clone) - states == left
    assert all(os.path.isfile(os.path.join(files_folder(), path)) for path in left)


def test_a_replaced_run_leaves_that_of_the_clone(dataset, tmp_path):
    source = make_run(clone_of(dataset, "source"), "a", seed=5)
    exported = fg.export_run(fo.load_dataset(source.dataset_name), "a", str(tmp_path / "exported"))
    clone = clone_of(dataset)
    before = what_it_shows(clone)
    found = fg.import_run(dataset, exported, overwrite=True)
    assert logits_of(found, dataset.values("filepath")) == pytest.approx(
        logits_of(source, dataset.values("filepath")), abs=1e-6
    )
    check_whole(clone, before)
    fg.delete_run(clone, "a")
    assert sorted(os.listdir(run_folder(dataset, "a"))) == [
        os.path.basename(os.path.dirname(found.checkpoint))
    ]
    assert fg.load_run(dataset, "a") == found
    assert found.load_model() is not None


def test_a_record_of_a_run_that_no_dataset_lists_keeps_no_files(dataset):
    """A process that is killed while it records a run leaves one."""
    database, folder = get_db_conn(), dataset_folder(dataset)
    record = database.runs.find_one({"_id": dataset._doc.runs["a"].id})
    lost = {
        **record,
        "_id": ObjectId(),
        "config": {**record["config"], "checkpoint": f"{folder}/x"},
    }
    database.runs.insert_one(lost)
    try:
        used = references.run_tails(str(dataset._doc.id))
    finally:
        database.runs.delete_one({"_id": lost["_id"]})
    run = fg.load_run(dataset, "a")
    own = (run.checkpoint, run.curves, run.watch["maps"], run.watch["strip"])
    assert used == {os.path.relpath(path, files_folder()) for path in own}


def test_a_clone_outlives_its_original(dataset):
    first = clone_of(dataset, "1")
    second = clone_of(first, "2")
    fg.predict(first, "a", heatmaps=("predicted", "label"))  # has files of its own now
    third = clone_of(first, "3")
    states = [what_it_shows(ds) for ds in (first, second, third)]
    folder = dataset_folder(dataset)
    stored = dataset._doc.id
    dataset.delete()
    for clone, before in zip((first, second, third), states, strict=True):
        check_whole(clone, before)
    fg.predict(second, "a", heatmaps=("predicted", "label"))
    assert not [path for path in tree(folder) if path.startswith("heatmaps")]
    assert (
        sorted(os.path.basename(path) for path in tree(folder) if "features" not in path) == FILES
    )
    check_whole(first, states[0])
    fg.delete_run(first, "a")
    check_whole(third, states[2])
    fg.delete_run(second, "a")
    check_whole(third, states[2])
    fg.delete_run(third, "a")
    left = [path for path in tree(folder) if "features" not in path]
    assert left == [os.path.join("runs", "a", "state.pt")]
    assert tree(dataset_folder(first)) == {}
    assert references.run_tails(str(stored)) == set()


def test_samples_that_were_added_elsewhere_keep_their_heatmaps(dataset, name):
    other = fo.Dataset(f"{name} other")
    other.add_collection(dataset.limit(5), new_ids=True)
    shown = [heatmap_pixels(heatmap).tolist() for heatmap in other.values("gradcam")]
    fg.delete_run(dataset, "a")
    assert [heatmap_pixels(heatmap).tolist() for heatmap in other.values("gradcam")] == shown
    assert files.remove_heatmap_files(other, other.values("gradcam.map_path")) == 0
    paths = other.values("gradcam.map_path")
    other.delete_sample_field("gradcam")
    assert files.remove_heatmap_files(other, paths) == 5
    assert not any(map(os.path.exists, paths))


def test_files_of_another_database_are_never_deleted(dataset):
    stranger = os.path.join(files_folder(), "0" * 24, "heatmaps", "gradcam", "x.png")
    os.makedirs(os.path.dirname(stranger))
    open(stranger, "w").close()
    outside = os.path.join(os.path.dirname(files_folder()), "mine.png")
    open(outside, "w").close()
    assert files.remove_heatmap_files(dataset, [stranger, outside, None, ""]) == 0
    assert os.path.exists(stranger)
    assert os.path.exists(outside)


def test_a_folder_that_is_reached_by_a_link_loses_nothing(dataset, tmp_path, monkeypatch):
    clone = clone_of(dataset)
    fg.delete_run(dataset, "a", fields=False)
    link = tmp_path / "link"
    link.symlink_to(os.path.dirname(files_folder()), target_is_directory=True)
    before = [what_it_shows(ds) for ds in (dataset, clone)]
    monkeypatch.setattr(fo.config, "default_dataset_dir", str(link))
    assert tidying.remove_leftovers(dataset) == 0
    fg.delete_run(clone, "a", fields=False)
    make_run(dataset, "b", seed=1)
    fg.predict(dataset, "b", "p_b", heatmap_field="cam_b", progress=False)
    fg.delete_run(dataset, "b")
    dataset.delete_sample_field("gradcam")  # by FiftyOne itself: the clone alone shows them now
    assert tidying.remove_leftovers(dataset) == 0
    clone.reload()
    assert what_it_shows(clone)["gradcam"] == before[1]["gradcam"]
    assert what_it_shows(dataset)["gradcam_label"] == before[0]["gradcam_label"]


def test_looking_for_references_is_quick(dataset, monkeypatch):
    """Work is counted, not time: with an index each dataset costs one look, and none is scanned."""
    monkeypatch.setattr(references, "MANY", 1)
    clone = clone_of(dataset)
    path = clone.values("gradcam.map_path")[0]
    assert references.heatmaps_in_use([path]) == {path}
    collection = get_db_conn()[clone._sample_collection_name]
    assert "gradcam.map_path_1" in collection.index_information()
    plan = collection.find({"gradcam.map_path": {"$in": [path]}}).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 1
    home = os.path.dirname(os.path.dirname(path))
    plan = collection.find({"gradcam.map_path": {"$regex": f"^{home[:-3]}xyz/"}}).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 0


def test_an_import_that_replaces_a_dataset_leaves_its_clone_whole(dataset):
    clone = clone_of(dataset, persistent=True)
    before, shown = what_it_shows(clone), files_of(clone)
    root, name = os.path.dirname(os.path.dirname(dataset.first().filepath)), dataset.name
    again = fg.import_folders(root, name, overwrite=True, progress=False)
    assert again.name == name
    assert again.get_field("prediction") is None
    check_whole(clone, before)
    assert files_of(clone) == shown


def test_a_dataset_that_is_replaced_takes_its_files_along(dataset):
    root, name = os.path.dirname(os.path.dirname(dataset.first().filepath)), dataset.name
    folder = dataset_folder(dataset)
    assert len(tree(folder)) > len(FILES)
    fg.import_folders(root, name, overwrite=True, progress=False)
    assert tree(folder) == {}
