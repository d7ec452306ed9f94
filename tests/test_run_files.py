"""The folder of a run, and the fields that hold its values, without training."""

import os

import fiftyone as fo
import pytest

from fiftyone_gradcam.dataset import run_files
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.files import dataset_folder, run_folder
from fiftyone_gradcam.dataset.run_fields import (
    delete_fields,
    fields_of_run,
    rename_run_in_fields,
    sweep_deleted_fields,
    values_lost,
)
from fiftyone_gradcam.dataset.spool import Spool, make_header, spools
from fiftyone_gradcam.dataset.storing import Declared
from fiftyone_gradcam.dataset.tidying import make_ready, remove_leftovers
from fiftyone_gradcam.dataset.writing import patience


@pytest.fixture
def dataset(name):
    """Four samples without images; three have a score of a run."""
    made = fo.Dataset(name)
    made.add_samples([fo.Sample(f"/{number}.png") for number in range(4)])
    made.add_sample_field("score", fo.FloatField)
    made.set_values("score", [0.1, 0.2, 0.3, None])
    facts = {"run": "a", "version": "1", "heatmap": {"method": "gradcam", "layer": "4", "more": 1}}
    describe_field(made, "score", "Scores of run 'a'", **facts)
    return made


@pytest.mark.parametrize(
    ("facts", "is_other"),
    [
        ({"run": "a", "version": "1"}, False),
        ({"run": "a", "version": "2"}, True),
        ({"run": "b", "version": "1"}, True),
        ({"heatmap": {"method": "gradcam", "layer": "4"}}, False),
        ({"heatmap": {"method": "gradcam", "layer": "5"}}, True),
        ({"heatmap": {"method": "gradcam", "new": None}}, False),
        ({"version": {"x": 1}}, True),  # what is noted is no dictionary
        ({"other": None}, False),
        ({}, False),
    ],
)
def test_values_of_other_samples_are_lost_if_they_were_made_otherwise(dataset, facts, is_other):
    ids = dataset.values("id")
    lost = [values_lost(dataset, ids[:n], {"none": facts, "score": facts}) for n in (0, 1, 3, 4)]
    assert lost == ([("a", 3), ("a", 2), None, None] if is_other else [None] * 4)
    assert values_lost(dataset, [], {}) is None
    describe_field(dataset, "score", "Scores of nobody")
    assert values_lost(dataset, [], {"score": facts}) is None


def test_fields_of_a_run_are_renamed_and_deleted_with_it(dataset):
    assert (fields_of_run(dataset, "a"), fields_of_run(dataset, "b")) == (["score"], [])
    dataset.add_sample_field("plain", fo.FloatField, info={"run": "a"})  # without a description
    rename_run_in_fields(dataset, ["plain", "score"], "a", "new")
    field = dataset.get_field("plain")
    assert (field.description, field.info) == ("", {"run": "new"})
    assert fields_of_run(dataset, "new") == ["score"]
    assert delete_fields(dataset, ["score"]) == 0
    assert dataset.get_field("score") is None


def test_heatmap_files_of_fields_that_are_gone_are_deleted(dataset):
    assert sweep_deleted_fields(dataset) == 0
    home = os.path.join(dataset_folder(dataset), "heatmaps")
    for name in ("gone", "score"):
        os.makedirs(os.path.join(home, name))
        with open(os.path.join(home, name, "1.png"), "w") as file:
            file.write("x")
    assert sweep_deleted_fields(dataset) == 1
    assert os.path.exists(os.path.join(home, "score", "1.png"))
    assert not os.path.exists(os.path.join(home, "gone"))


@pytest.mark.parametrize("is_void", [True, False])
def test_heatmap_files_of_values_that_are_discarded_go_with_them(dataset, is_void):
    path = os.path.join(dataset_folder(dataset), "heatmaps", "cam", "1.png")
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        file.write("x")
    cam, gone = Declared("heatmap", "", {}, {}), {"key": "gone", "version": "1"}
    spool = Spool.create(dataset, make_header({"cam": cam}, ["cam"], gone if is_void else None))
    spool.add({dataset.first().id: {"cam": {"map_path": path}}})
    make_ready(dataset)
    assert os.path.exists(path) != is_void
    assert len(spools(dataset)) == (not is_void)
    remove_leftovers(dataset)
    assert os.path.exists(path) != is_void
    for one in spools(dataset):
        one.discard()
    assert remove_leftovers(dataset) == (not is_void)
    assert not os.path.exists(path)


def leave(dataset, key: str, *names: str) -> str:
    """Leave files in the folder of a run."""
    folder = run_folder(dataset, key)
    os.makedirs(folder, exist_ok=True)
    for name in names:
        with open(os.path.join(folder, name), "w") as file:
            file.write(name)
    return folder


def test_a_new_run_overwrites_no_weights(dataset):
    folder = run_folder(dataset, "a")
    assert run_files.new_folder(dataset, "a") == folder
    assert run_files.checkpoint_path(dataset, "a") == os.path.join(folder, "model.pt")
    leave(dataset, "a", "state.pt")
    assert run_files.new_folder(dataset, "a") == folder
    leave(dataset, "a", "model.pt")
    found = {run_files.new_folder(dataset, "a") for _ in range(2)}
    assert len(found) == 2
    assert {os.path.dirname(path) for path in found} == {folder}


def test_a_training_that_can_be_resumed_is_in_the_way_of_another_and_other_files_are_not(dataset):
    folder = leave(dataset, "a", "model.pt")
    assert not run_files.can_resume(dataset, "a")
    run_files.make_room(dataset, "a")
    assert not os.path.exists(folder)
    leave(dataset, "a", "model.pt", "state.pt")
    assert run_files.can_resume(dataset.limit(1), "a")
    words = f"^.*a' holds a training 'a' of {dataset.name!r} that was interrupted. Choose another"
    with pytest.raises(ValueError, match=words):
        run_files.make_room(dataset, "a")
    assert sorted(os.listdir(folder)) == ["model.pt", "state.pt"]
    run_files.prepare_folder(dataset, "a")  # for the training that goes on
    assert os.listdir(folder) == ["state.pt"]
    run_files.remove_others(dataset, "a", keep_state=False)
    assert not os.path.exists(folder)
    leave(dataset, "b", "state.pt")
    assert not run_files.can_resume(dataset, "../runs/b")


def test_only_the_server_of_the_app_is_impatient(monkeypatch):
    monkeypatch.delenv("FIFTYONE_SERVER", raising=False)
    assert patience() is None
    monkeypatch.setenv("FIFTYONE_SERVER", "1")
    assert patience() == 5.0
