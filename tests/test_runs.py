"""Runs: what is stored of them, and what goes when they are deleted."""

import os
import shutil
from dataclasses import replace

import fiftyone as fo
import pytest
from fiftyone.core.odm import get_db_conn
from made_runs import (
    FILES,
    FINDINGS,
    HISTORY,
    VALIDATIONS,
    failing,
    make_run,
    some_digits,
    state_of,
    tree,
)

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import run_fields, run_keys, runs
from fiftyone_gradcam.dataset.files import dataset_folder, heatmap_folder, run_folder
from fiftyone_gradcam.dataset.live import LiveTraining


@pytest.fixture
def dataset(tmp_path, name):
    """Some digits of three classes."""
    yield from some_digits(tmp_path / "digits", name)


def test_all_of_a_run_is_stored(dataset):
    run = make_run(dataset, "a", hidden=(5,))
    found = fg.load_run(fo.load_dataset(dataset.name), "a")
    dataset.clear_cache()
    dataset.reload()
    dataset._run_cache.clear()
    assert fg.load_run(dataset.limit(1), "a") == found == run
    assert found.val_accuracy == 0.9
    results = dataset.load_run_results("a")
    assert results.history == HISTORY
    assert results.validations == VALIDATIONS
    assert results.findings == FINDINGS
    assert dataset.get_run_info("a").config.findings == FINDINGS
    assert (
        str(found)
        == "run 'a': small_cnn, 3 classes, 3 of 5 epochs (best: epoch 2), val accuracy 90.0%"
    )
    whole = replace(found, best_epoch=0, recipe={**found.recipe, "epochs": 3})
    assert "3 epochs (best: the new layers alone)" in str(whole)


def test_runs_of_earlier_versions_load(dataset):
    run = make_run(dataset, "a")
    dataset.delete_run("a")
    old = {"classes", "recipe", "best_epoch", "label_field", "checkpoint", "watch", "val_accuracy"}
    config = dataset.init_run(method=runs.METHOD, **{name: getattr(run, name) for name in old})
    dataset.register_run("a", config)
    dataset.save_run_results("a", dataset.init_run_results("a", history=HISTORY))
    found = fg.load_run(dataset, "a")
    assert (found.validations, found.findings, found.curves) == ([], [], None)
    assert (found.val_accuracy, found.history) == (0.9, HISTORY)
    assert str(found) == str(run)


def test_a_run_is_replaced_only_when_the_new_one_is_recorded(dataset):
    first = make_run(dataset, "a", seed=0)
    make_run(dataset, "b", seed=0)
    replaced = replace(first, best_epoch=3)
    for method in ("update_run_config", "save_run_results"):
        with failing(fo.Dataset, method):
            runs.save_run(dataset, replaced)
        assert dataset.list_runs() == ["a", "b"]
        assert fg.load_run(dataset, "a") == first
    runs.save_run(dataset, replaced)
    assert fg.load_run(dataset, "a").best_epoch == 3
    assert fg.list_runs(dataset) == ["b", "a"]


def test_a_deleted_run_takes_its_own_fields_and_files_along(dataset, capsys):
    make_run(dataset, "a")
    make_run(dataset, "b", seed=1)
    fg.predict(dataset, "a", heatmaps=("predicted", "label"))
    fg.predict(dataset, "b", prediction_field="p_b", heatmap_field="cam_b")
    dataset.clone_sample_field("prediction", "mine")
    field = dataset.get_field("mine")
    field.info = {"run": "a"}  # of the user's, and not signed by this plugin
    field.save()
    dataset.set_values("mine.label", ["precious"] * 12)
    kept = {
        name: dataset.values(name) for name in ("mine.label", "p_b.confidence", "cam_b.map_path")
    }
    gone = dataset.values("gradcam.map_path") + dataset.values("gradcam_label.map_path")
    assert all(map(os.path.isfile, gone))
    capsys.readouterr()
    fg.delete_run(dataset.limit(1), "a")
    printed = capsys.readouterr().out
    names = ["prediction", "prediction_scores", "gradcam", "gradcam_label"]
    assert set(printed.splitlines()[0].split("fields ")[1].split(", and")[0].split(", ")) == {
        *names
    }
    assert "and 24 heatmap files" in printed
    assert f"Deleted run 'a' of {dataset.name!r}" in printed
    schema = dataset.get_field_schema()
    assert not set(names) & set(schema)
    assert {"ground_truth", "mine", "p_b", "p_b_scores", "cam_b"} <= set(schema)
    assert not any(map(os.path.exists, gone))
    for name in ("gradcam", "gradcam_label"):
        assert not os.path.exists(heatmap_folder(dataset, name))
    assert not os.path.exists(run_folder(dataset, "a"))
    for name, values in kept.items():
        assert dataset.values(name) == values
    assert all(map(os.path.isfile, kept["cam_b.map_path"]))
    assert sorted(os.listdir(run_folder(dataset, "b"))) == FILES
    assert fg.list_runs(dataset) == ["b"]
    active = dataset.app_config.active_fields.paths
    assert not set(names) & set(active)
    assert {"ground_truth", "p_b"} <= set(active)
    with pytest.raises(ValueError, match="no training run 'a'. Its runs: b"):
        fg.delete_run(dataset, "a")


def test_fields_stay_on_request(dataset):
    make_run(dataset, "a")
    fg.predict(dataset, "a")
    fg.delete_run(dataset, "a", fields=False)
    assert fg.list_runs(dataset) == []
    assert not os.path.exists(run_folder(dataset, "a"))
    assert None not in dataset.values("prediction.label")
    assert all(map(os.path.isfile, dataset.values("gradcam.map_path")))
    fg.delete_run(dataset, "a")  # and go later
    assert dataset.get_field("prediction") is None
    assert not os.path.exists(heatmap_folder(dataset, "gradcam"))


def test_heatmap_files_that_another_field_shows_stay(dataset):
    make_run(dataset, "a")
    fg.predict(dataset, "a")
    dataset.clone_sample_field("gradcam", "mine")
    field = dataset.get_field("mine")
    field.info = None
    field.save()
    fg.delete_run(dataset, "a")
    assert dataset.get_field("gradcam") is None
    assert all(map(os.path.isfile, dataset.values("mine.map_path")))


def test_an_interrupted_training_is_deleted(dataset, capsys):
    make_run(dataset, "a")
    for name in ("b", "c"):
        os.makedirs(run_folder(dataset, name))
        with open(os.path.join(run_folder(dataset, name), "state.pt"), "w") as file:
            file.write("state")
    live = LiveTraining(dataset, "b", 9)
    live([], [], None)
    capsys.readouterr()
    fg.delete_run(dataset, "b")
    assert capsys.readouterr().out == f"Deleted {run_folder(dataset, 'b')}\n"
    assert live.read() is None
    assert sorted(os.listdir(os.path.dirname(run_folder(dataset, "b")))) == ["a", "c"]
    for key in ("d", "../runs", "", 3):
        with pytest.raises(ValueError, match="no training run .*Its runs: a"):
            fg.delete_run(dataset, key)
    dataset.register_run("mine", dataset.init_run(method="mine"))
    with pytest.raises(ValueError, match="no training run 'mine'"):
        fg.delete_run(dataset, "mine")
    assert dataset.list_runs() == ["a", "mine"]
    # A record that is damaged, and whose files are gone, is deleted too.
    shutil.rmtree(run_folder(dataset, "a"))
    runs.keep_values(dataset, "a", recipe=None)
    with pytest.raises(ValueError, match="The record of run 'a' .* is damaged"):
        fg.load_run(dataset, "a")
    capsys.readouterr()
    fg.delete_run(dataset, "a")
    assert capsys.readouterr().out == f"Deleted run 'a' of {dataset.name!r}\n"
    assert dataset.list_runs() == ["mine"]


def test_a_deletion_that_fails_can_be_finished(dataset):
    make_run(dataset, "a")
    fg.predict(dataset, "a")
    before = state_of(dataset)
    with failing(fo.Dataset, "delete_sample_fields"):
        fg.delete_run(dataset, "a")
    assert state_of(dataset) == before
    with failing(fo.Dataset, "delete_run"):
        fg.delete_run(dataset, "a")
    assert fg.load_run(dataset, "a").load_model() is not None
    with failing(os, "unlink", always=True):
        fg.delete_run(dataset, "a")
    assert sorted(os.listdir(run_folder(dataset, "a"))) == FILES
    fg.delete_run(dataset, "a")
    assert tree(dataset_folder(dataset)) == {}
    assert fg.list_runs(dataset) == []


def test_what_another_process_has_changed_is_seen(dataset):
    make_run(dataset, "a")
    assert fg.load_run(dataset, "a").val_accuracy == 0.9
    record = {"_id": dataset._doc.runs["a"].id}
    get_db_conn().runs.update_one(record, {"$set": {"config.val_accuracy": 0.25}})
    assert fg.load_run(dataset, "a").val_accuracy == 0.25


def test_keys_that_some_file_systems_take_for_one(dataset):
    make_run(dataset, "a")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"Run 'a' exists on .*, and 'A' would have the same"):
            run_keys.check_key(dataset, "A", overwrite=overwrite)
    run_keys.check_key(dataset, "a", overwrite=True)


def test_nothing_is_deleted_where_something_cannot_be(dataset, monkeypatch):
    make_run(dataset, "a")
    fg.predict(dataset, "a")
    before, allowed = state_of(dataset), os.access
    own = (run_folder(dataset, "a"), heatmap_folder(dataset, "gradcam"))
    for locked in (*own, *map(os.path.dirname, own)):  # what a folder holds, its folder names
        with (
            monkeypatch.context() as patch
        ):  # root may write anywhere: the system's answer is faked
            patch.setattr(os, "access", lambda p, mode, x=locked: p != x and allowed(p, mode))
            for _ in range(2):
                with pytest.raises(
                    PermissionError, match=f"Nothing was deleted.*{locked}.*read-only"
                ):
                    fg.delete_run(dataset, "a")
                assert state_of(dataset) == before
    fg.delete_run(dataset, "a")
    assert tree(dataset_folder(dataset)) == {}
    assert not os.path.exists(heatmap_folder(dataset, "gradcam"))  # not even an empty one


def test_heatmaps_of_a_deletion_that_was_cut_short_go_with_the_second_call(dataset):
    make_run(dataset, "a")
    fg.predict(dataset, "a")
    with failing(run_fields, "remove_heatmap_files"):
        fg.delete_run(dataset, "a")
    assert dataset.get_field("gradcam") is None
    assert len(os.listdir(heatmap_folder(dataset, "gradcam"))) == 12
    fg.delete_run(dataset, "a")
    assert tree(dataset_folder(dataset)) == {}


def test_many_rows_are_kept_apart_from_the_record(dataset, monkeypatch):
    monkeypatch.setattr(runs, "MOST_ROWS", len(HISTORY))
    run = make_run(dataset, "a")
    assert not hasattr(dataset.get_run_info("a").config, "history")
    dataset.reload()
    dataset._run_cache.clear()
    assert fg.load_run(dataset, "a") == run
    assert (run.history, run.validations) == (HISTORY, VALIDATIONS)


@pytest.mark.parametrize("most", [1, 1000])
def test_results_of_a_run_that_was_replaced_are_the_new_ones(dataset, monkeypatch, most):
    monkeypatch.setattr(runs, "MOST_ROWS", most)
    run = make_run(dataset, "a")
    known = dataset.load_run_results("a")
    fg.load_run(dataset, "a")  # reads the record again
    runs.save_run(dataset, replace(run, history=HISTORY[:3], validations=VALIDATIONS[:1]))
    dataset.reload()
    dataset._run_cache["a"] = known  # a process does not see what others write
    found = fg.load_run(dataset, "a")
    assert (found.history, found.validations) == (HISTORY[:3], VALIDATIONS[:1])
    results = dataset.load_run_results("a", cache=False)
    assert (results.history, results.validations) == (HISTORY[:3], VALIDATIONS[:1])


def test_what_another_process_has_made_is_seen(dataset, capsys):
    make_run(dataset, "a")
    fg.predict(dataset, "a")

    def forget() -> None:  # as a process knows the dataset that opened it before
        del dataset._doc.runs["a"]
        dataset._doc._changed_fields = []

    forget()
    assert dataset.list_runs() == []
    with pytest.raises(ValueError, match="Run 'a' exists already"):
        run_keys.check_key(dataset, "a", overwrite=False)
    forget()
    assert fg.load_run(dataset, "a").key == "a"
    forget()
    fg.delete_run(dataset, "a")
    assert "Deleted run 'a'" in capsys.readouterr().out
    dataset.reload()
    assert dataset.list_runs() == []
    assert dataset.get_field("prediction") is None
