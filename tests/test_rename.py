"""Runs under another key, also where the renaming fails or is killed in the middle."""

import os
import re
import shutil
import traceback

import fiftyone as fo
import fiftyone.core.odm.database as food
import pytest
from made_runs import (
    FILES,
    HISTORY,
    VALIDATIONS,
    fail_after,
    fail_before,
    failing,
    logits_of,
    make_run,
    some_digits,
    state_of,
    tree,
)

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import layouts, run_fields, runs
from fiftyone_gradcam.dataset.fields import field_info
from fiftyone_gradcam.dataset.files import dataset_folder, run_folder
from fiftyone_gradcam.workflow import renaming


@pytest.fixture
def dataset(tmp_path, name):
    """Some digits of three classes."""
    yield from some_digits(tmp_path / "digits", name)


@pytest.fixture
def other(tmp_path, name):
    """Another dataset."""
    yield from some_digits(tmp_path / "other", f"{name} other", per_class=2)


def test_a_renamed_run_goes_on(dataset):
    run = make_run(dataset, "a")
    make_run(dataset, "b", seed=1)
    fg.predict(dataset, "a")
    fg.predict(dataset, "b", prediction_field="p_b", heatmap_field="cam_b")
    before, files = logits_of(run, dataset.values("filepath")), tree(run_folder(dataset, "a"))
    renamed = fg.rename_run(dataset.limit(1), run, "c")
    assert renamed == fg.load_run(dataset, "c")
    assert fg.list_runs(dataset) == ["c", "b"]  # in the order in which they were made
    assert not os.path.exists(run_folder(dataset, "a"))
    here = run_folder(dataset, "c")
    assert tree(here) == files
    assert sorted(files) == FILES
    assert sorted(os.listdir(os.path.dirname(here))) == ["b", "c"]
    assert renamed.checkpoint == os.path.join(here, "model.pt")
    assert renamed.curves == os.path.join(here, "curves.png")
    assert renamed.watch == {
        "ids": ["0" * 24],
        "maps": os.path.join(here, "watch.npz"),
        "strip": os.path.join(here, "watch.png"),
    }
    assert (renamed.history, renamed.validations) == (HISTORY, VALIDATIONS)
    for name in ("prediction", "prediction_scores", "gradcam"):
        field = dataset.get_field(name)
        assert field.info["run"] == "c"
        assert "run 'c'" in field.description
    assert dataset.get_field("gradcam").info["kind"] == "predicted"
    assert dataset.get_field("p_b").info["run"] == "b"
    assert dataset.get_field("ground_truth").info is None
    assert logits_of(renamed, dataset.values("filepath")) == pytest.approx(before, abs=1e-6)
    assert len(fg.predict(dataset, "c")) == 12
    with pytest.raises(ValueError, match="no training run 'a'. Its runs: c, b"):
        fg.load_run(dataset, "a")
    with pytest.raises(ValueError, match="no training run 'a'. Its runs: c, b"):
        fg.rename_run(dataset, "a", "d")
    dataset.reload()
    dataset._run_cache.clear()
    assert fg.load_run(dataset, "c") == renamed


def test_a_run_is_not_renamed_to_what_is_there(dataset, other):
    run = make_run(dataset, "a")
    make_run(dataset, "b", seed=1)
    os.makedirs(run_folder(dataset, "c"))
    with open(os.path.join(run_folder(dataset, "c"), "state.pt"), "w") as file:
        file.write("precious")
    dataset.register_run("mine", dataset.init_run(method="mine"))
    before = tree(dataset_folder(dataset))
    cases = {
        "b": r"'b' exists already.*delete_run\(\)",
        "a": "'a' exists already",
        "c": "training 'c' of .* interrupted",
        "mine": "'mine' .* is not a training",
        "no key": "'no key' is not a valid run key",
        "../b": "'../b' is not a valid run key",
    }
    for key, message in cases.items():
        with pytest.raises(ValueError, match=message):
            fg.rename_run(dataset, "a", key)
    for key in (["b"], {"b": []}, None, 3):  # what no form sends, and no dictionary takes as a key
        with pytest.raises(ValueError, match=f"{re.escape(repr(key))} is not a valid run key"):
            fg.rename_run(dataset, "a", key)
        with pytest.raises(ValueError, match=f"no training run {re.escape(repr(key))}"):
            fg.predict(dataset, key)
    with pytest.raises(ValueError, match="is not a run of .* other', but of"):
        fg.rename_run(other, run, "d")
    assert tree(dataset_folder(dataset)) == before
    assert dataset.list_runs() == ["a", "b", "mine"]
    assert fg.load_run(dataset, "a") == run
    make_run(dataset, "plain", files=False)  # without a file of the name of that in the way
    with pytest.raises(ValueError, match="training 'c' of .* interrupted"):
        fg.rename_run(dataset, "plain", "c")
    # Only a run that is gone was renamed by a call that was cut off.
    runs.keep_values(dataset, "b", renamed_from="a")
    with pytest.raises(ValueError, match="'b' exists already"):
        fg.rename_run(dataset, "a", "b")
    assert sorted(os.listdir(run_folder(dataset, "a"))) == FILES


def test_layouts_follow_a_run_and_come_back_if_the_renaming_fails(dataset):
    make_run(dataset, "a", files=False)
    fg.show_embeddings(dataset, "a", "pca", progress=False)

    def shown() -> tuple[str, dict]:
        config = dataset.get_brain_info("embeddings").config
        return config.model, getattr(config, layouts.RESTS_ON)

    before = shown()
    assert before[0] == "run 'a', pca (gradcam)"
    with failing(layouts, "rename_run_in_layouts", fail_after):
        fg.rename_run(dataset, "a", "b")
    dataset.reload()
    assert (fg.list_runs(dataset), shown()) == (["a"], before)
    fg.rename_run(dataset, "a", "b")
    words, facts = shown()
    assert words == "run 'b', pca (gradcam)"
    assert (facts["run"], facts["given"]["run_or_backbone"]) == ("b", "b")


def test_files_are_copied_where_they_cannot_be_linked(dataset, monkeypatch):
    make_run(dataset, "a")
    files, linked = tree(run_folder(dataset, "a")), []

    def link(source, target):
        linked.append(os.path.basename(target))
        raise OSError("links are not supported")

    monkeypatch.setattr(os, "link", link)
    fg.rename_run(dataset, "a", "b")
    assert sorted(linked) == FILES
    assert tree(run_folder(dataset, "b")) == files
    assert os.listdir(os.path.join(dataset_folder(dataset), "runs")) == ["b"]


def test_a_run_without_files_is_not_renamed(dataset):
    make_run(dataset, "a", files=False)
    shutil.rmtree(run_folder(dataset, "a"))
    with pytest.raises(ValueError, match=r"files of the run do not exist. Train again with fine_t"):
        fg.rename_run(dataset, "a", "b")
    assert fg.list_runs(dataset) == ["a"]
    assert not os.path.exists(run_folder(dataset, "b"))


STEPS = [
    (os, "rename"),
    (renaming, "_link_files"),
    (runs, "update_paths"),
    (fo.Dataset, "rename_run"),
    (run_fields, "rename_run_in_fields"),
]


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_a_renaming_that_fails_changes_nothing(dataset, step):
    make_run(dataset, "a")
    fg.predict(dataset, "a")
    before = state_of(dataset)
    for spoil in (fail_before, fail_after):
        with failing(*STEPS[step], spoil):
            fg.rename_run(dataset, "a", "b")
        dataset.reload()
        assert state_of(dataset) == before
        assert os.listdir(os.path.join(dataset_folder(dataset), "runs")) == ["a"]
    fg.rename_run(dataset, "a", "b")
    assert fg.list_runs(dataset) == ["b"]


@pytest.mark.parametrize("step", range(1, len(STEPS)))
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_renaming_that_is_killed_leaves_a_run_that_loads(dataset, step):
    run = make_run(dataset, "a")
    fg.predict(dataset, "a")
    paths = dataset.values("filepath")
    before = logits_of(run, paths)
    child = os.fork()
    if child == 0:
        try:
            food._disconnect()
            place, name = STEPS[step]
            original = getattr(place, name)
            setattr(place, name, lambda *args, **named: (original(*args, **named), os._exit(9)))
            fg.rename_run(fo.load_dataset(dataset.name), "a", "b")
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    dataset.reload()
    dataset._run_cache.clear()
    (key,) = fg.list_runs(dataset)
    assert key == ("a" if step < 3 else "b")
    assert logits_of(fg.load_run(dataset, key), paths) == pytest.approx(before, abs=1e-6)
    found = fg.rename_run(dataset, "a", "b")  # the same call finishes it
    assert found == fg.load_run(dataset, "b")
    assert fg.list_runs(dataset) == ["b"]
    assert os.listdir(os.path.join(dataset_folder(dataset), "runs")) == ["b"]
    assert sorted(os.listdir(os.path.dirname(found.checkpoint))) == FILES
    assert logits_of(found, paths) == pytest.approx(before, abs=1e-6)
    assert [field_info(dataset, name)["run"] for name in ("prediction", "gradcam")] == ["b", "b"]
    assert len(fg.predict(dataset, "b", resume=True)) == 12
    with pytest.raises(ValueError, match="no training run 'a'. Its runs: b"):
        fg.rename_run(dataset, "a", "b")


def test_the_files_of_a_clone_are_its_own_after_a_renaming(dataset, name, capsys):
    run = make_run(dataset, "a")
    clone = dataset.clone(f"{name} clone")
    try:
        renamed = fg.rename_run(clone, "a", "b")
        assert renamed.checkpoint == os.path.join(run_folder(clone, "b"), "model.pt")
        assert sorted(os.listdir(run_folder(dataset, "a"))) == FILES
        fg.delete_run(clone, "b")
        assert fg.load_run(dataset, "a") == run
        assert sorted(os.listdir(run_folder(dataset, "a"))) == FILES
        # Files of a deleted run that the clone uses are in the place of no other run.
        kept = dataset.clone(f"{name} kept")
        capsys.readouterr()
        fg.delete_run(dataset, "a")
        said = capsys.readouterr().out.splitlines()
        assert said == [
            f"Deleted run 'a' of {dataset.name!r}",
            "Files of 'a' are kept, because another dataset uses them",
        ]
        make_run(dataset, "c", files=False)
        with pytest.raises(ValueError, match="holds files of a deleted run 'a', which another"):
            fg.rename_run(dataset, "c", "a")
        assert fg.list_runs(dataset) == ["c"]
        kept.delete()
        assert fg.rename_run(dataset, "c", "a").key == "a"
    finally:
        shutil.rmtree(dataset_folder(clone), ignore_errors=True)
        clone.delete()
