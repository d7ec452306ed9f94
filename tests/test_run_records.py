"""Records of runs that are damaged, or that another process has replaced."""

import os

import fiftyone as fo
import pytest
from bson import DBRef, ObjectId
from fiftyone.core.odm import get_db_conn
from made_runs import HISTORY

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import runs
from fiftyone_gradcam.dataset.files import run_folder
from fiftyone_gradcam.dataset.references import config_paths, run_versions, tail, version_of


@pytest.fixture
def dataset(name):
    return fo.Dataset(name)


def record(dataset, key: str = "a", epochs: int = 5, **more) -> runs.Run:
    """A record of a run without files, of which three epochs ran."""
    recipe = {"backbone": "small_cnn", "epochs": epochs, **more.pop("recipe", {})}
    own = {"best_epoch": 2, "label_field": "own", "checkpoint": "/gone.pt", **more}
    return runs.save_run(dataset, runs.Run(key, dataset.name, ["x", "y"], recipe, HISTORY, **own))


def leave_state(dataset, key: str = "a") -> None:
    """What a training needs to be resumed is there."""
    os.makedirs(run_folder(dataset, key))
    with open(os.path.join(run_folder(dataset, key), "state.pt"), "w") as file:
        file.write("state")


def change(dataset, key: str = "a", **values) -> None:
    """Change the record of a run in the database, as another process would."""
    chosen = {"_id": dataset._doc.runs[key].id}
    get_db_conn().runs.update_one(chosen, {"$set": values})


def test_the_epochs_of_a_canceled_training_that_can_be_resumed(dataset):
    def words(**more) -> str | None:
        return runs.canceled_words(dataset, record(dataset, **more).key)

    assert words(canceled=True) is None  # there is nothing to resume it from
    leave_state(dataset)
    assert words(canceled=True) == "3 of 5 epochs"
    assert words(canceled=False) is None  # it ended early by itself
    assert words(canceled=True, epochs=3) is None
    # Earlier versions did not store it: only what stops early may have ended by itself.
    assert words() == "3 of 5 epochs"
    assert words(recipe={"early_stopping": 4}) is None
    assert words(recipe={"early_stopping": None}) == "3 of 5 epochs"
    for key in (None, "b", "../a"):
        assert runs.canceled_words(dataset, key) is None
    change(dataset, **{"config.recipe": {"backbone": "small_cnn"}})
    assert runs.canceled_words(dataset, "a") is None
    with pytest.raises(ValueError, match=r"The record of run 'a' .* is damaged \(KeyError.*delete"):
        fg.load_run(dataset, "a")


def test_a_run_that_fiftyone_cannot_read_is_no_training(dataset):
    record(dataset, "a")
    record(dataset, "odd")
    change(dataset, "odd", **{"config.cls": "collections.OrderedDict"})
    dataset.reload()
    with pytest.raises(ValueError, match=r"has no training run 'odd'\. .*Its runs: a$"):
        fg.load_run(dataset, "odd")
    assert fg.list_runs(dataset) == ["a"]


def test_a_run_that_another_process_has_replaced_is_read_again(dataset):
    first = record(dataset, val_accuracy=0.5)
    chosen, database = {"_id": dataset._doc.id}, get_db_conn()
    known = database.datasets.find_one(chosen)["runs"]["a"]
    own = known.id if isinstance(known, DBRef) else known
    other = {**database.runs.find_one({"_id": own}), "_id": ObjectId()}
    other["config"] = {**other["config"], "val_accuracy": 0.75}
    database.runs.insert_one(other)
    database.runs.delete_one({"_id": own})
    place = DBRef("runs", other["_id"]) if isinstance(known, DBRef) else other["_id"]
    database.datasets.update_one(chosen, {"$set": {"runs.a": place}})
    assert (first.val_accuracy, fg.load_run(dataset, "a").val_accuracy) == (0.5, 0.75)


def test_which_labels_a_run_was_trained_on_and_which_run_is_the_newest(dataset):
    assert runs.newest_run(dataset) is None
    record(dataset, "b", labels="before_review")
    assert runs.newest_run(dataset) == "b"  # there is no other
    record(dataset, "a")
    record(dataset, "c", labels="before_review")
    assert (runs.newest_run(dataset), fg.list_runs(dataset)) == ("a", ["b", "a", "c"])
    assert [runs.labels_of_run(dataset, key) for key in "abc"] == [
        "current", "before_review", "before_review"
    ]  # fmt: skip
    versions = {fg.load_run(dataset, key).version for key in "abc"}
    dataset.register_run("other", dataset.init_run(method="other"))
    assert run_versions(str(dataset._doc.id)) == versions
    assert run_versions("0" * 24) == set()
    assert not runs.has_run(dataset, 3)
    assert runs.paths_of(dataset, "other") == runs.paths_of(dataset, "gone") == []
    assert runs.paths_of(dataset, "a") == ["/gone.pt"]
    assert runs.renamed_from(dataset, "gone") is runs.renamed_from(dataset, "a") is None


def test_the_files_that_a_record_names():
    watch = {"ids": ["1"], "maps": "/m.npz", "strip": "/s.png"}
    config = {"checkpoint": "/a.pt", "curves": "/c.png", "watch": watch}
    assert list(config_paths(config)) == ["/a.pt", "/c.png", "/m.npz", "/s.png"]
    odd = {"checkpoint": 3, "curves": "", "watch": {"maps": None, "strip": "/s.png"}}
    assert list(config_paths(odd)) == ["/s.png"]
    assert list(config_paths({"watch": "/s.png"})) == list(config_paths({})) == []
    for path in ("/x/id/runs/a.pt", r"C:\x\id\runs\a.pt"):
        assert tail(path, "id") == "id/runs/a.pt"


def test_the_version_of_a_run_is_when_it_was_stored():
    from datetime import datetime

    at = datetime(2026, 1, 2, 3, 4, 5, 6789)
    assert version_of("2026-02-02", at) == "2026-02-02"
    assert version_of(None, at) == "2026-01-02T03:04:05.006"
