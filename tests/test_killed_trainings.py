"""Trainings and imports that are killed at any moment: what was recorded stays whole, and the next
call, of whatever kind, gives a clear answer and completes."""

import os
import shutil
import traceback

import fiftyone as fo
import fiftyone.core.odm.database as food
import numpy as np
import pytest
from conftest import QUICK
from fiftyone.factory import repo_factory
from made_runs import logits_of, make_run, some_digits, tree

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import exported, recording, run_files, runs
from fiftyone_gradcam.dataset.files import dataset_folder, run_folder
from fiftyone_gradcam.workflow import training

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.usefixtures("one_thread"),
]
SHORT = {**QUICK, "epochs": 2, "image_size": 32}
# A function, at which of its calls the process dies, and whether before the call or after it.
FIRST = [
    (training, "save_state", 1, True),
    (training, "save_state", 1, False),
    (training, "save_state", 2, False),
    (recording, "save_checkpoint", 1, False),
    (fo.Dataset, "register_run", 1, False),
    (run_files, "remove_others", 2, True),
]
REPLACING = [
    (training, "save_state", 1, False),
    (training, "save_state", 2, False),
    (recording, "save_checkpoint", 1, False),
    (fo.Dataset, "update_run_config", 1, True),
    (fo.Dataset, "update_run_config", 1, False),
    (run_files, "remove_others", 2, True),
]
IMPORTING = [
    (exported, "save_checkpoint", 1, False),
    (os, "rename", 1, False),
    (fo.Dataset, "save_run_results", 1, False),
    (run_files, "remove_others", 1, True),
]


def named(point: tuple) -> str:
    """Where a process dies, in words."""
    return f"{'before' if point[3] else 'after'} {point[1]} {point[2]}"


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """Some digits of three classes, all to be trained on but for a few to validate with."""
    for dataset in some_digits(tmp_path_factory.mktemp("killed") / "digits", "killed trainings"):
        fg.split(dataset, {"train": 0.5, "val": 0.5})
        yield dataset


@pytest.fixture
def dataset(origin, name):
    """The test's own copy, without a run."""
    dataset = origin.clone(name)
    yield dataset
    shutil.rmtree(dataset_folder(dataset), ignore_errors=True)
    dataset.delete()


@pytest.fixture(scope="module")
def whole(origin, one_thread):
    """What the training gives that is not killed: losses, and logits of all images."""
    run = fg.fine_tune(origin, "whole", **SHORT, progress=False)
    found = facts_of(origin, run)
    fg.delete_run(origin, "whole")
    return found


def facts_of(dataset, run) -> tuple:
    """What tells one training from another."""
    losses = [(row["epoch"], row["train_loss"], row["val_accuracy"]) for row in run.history]
    return losses, logits_of(run, dataset.values("filepath")).round(4).tolist()


def killed(point, work) -> bool:
    """Do work in a process that dies before or after the n-th call of a function; did it die?"""
    place, name, number, before = point
    child = os.fork()
    if child == 0:
        try:
            food._disconnect()
            repo_factory._db = None  # the connection of the parent
            repo_factory.RepositoryFactory.repos.clear()
            original, calls = getattr(place, name), []

            def patched(*args, **options):
                calls.append(name)
                if len(calls) == number and before:
                    os._exit(9)
                found = original(*args, **options)
                if len(calls) == number:
                    os._exit(9)
                return found

            setattr(place, name, patched)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


def check_tidy(dataset, key) -> None:
    """Nothing is in the folder of a run but its files and its state."""
    folder = run_folder(dataset, key)
    named = {os.path.relpath(path, folder) for path in runs.paths_of(dataset, key)}
    assert set(tree(folder)) - {"state.pt"} == named
    assert os.listdir(os.path.dirname(folder)) == [key]


@pytest.mark.parametrize("point", FIRST, ids=named)
def test_a_first_training_that_is_killed(dataset, whole, point):
    def train() -> None:
        fg.fine_tune(fo.load_dataset(dataset.name), "a", **SHORT, progress=False)

    assert killed(point, train)
    dataset.reload()
    recorded = "a" in fg.list_runs(dataset)
    has_state = run_files.can_resume(dataset, "a")
    assert has_state is (point != FIRST[0])
    if recorded:
        assert facts_of(dataset, fg.load_run(dataset, "a")) == whole
        with pytest.raises(ValueError, match=r"'a' exists already.*overwrite=True"):
            fg.fine_tune(dataset, "a", **SHORT)
        with pytest.raises(ValueError, match="has completed its 2 epochs"):
            fg.fine_tune(dataset, "a", resume=True)
    elif has_state:
        with pytest.raises(ValueError, match=r"was interrupted. Pass resume=True .*overwrite=True"):
            fg.fine_tune(dataset, "a", **SHORT)
        assert facts_of(dataset, fg.fine_tune(dataset, "a", resume=True)) == whole
        check_tidy(dataset, "a")
    again = fg.fine_tune(dataset, "a", overwrite=recorded or has_state, **SHORT)
    assert facts_of(dataset, again) == whole
    check_tidy(dataset, "a")


@pytest.mark.parametrize("how", ["resume", "overwrite"])
@pytest.mark.parametrize(
    "point",
    REPLACING,
    ids=named,
)
def test_a_training_that_was_to_replace_another_is_killed(dataset, whole, point, how):
    first = make_run(dataset, "a", seed=3)
    old = logits_of(first, dataset.values("filepath"))
    os.unlink(os.path.join(run_folder(dataset, "a"), "state.pt"))

    def train() -> None:
        fg.fine_tune(fo.load_dataset(dataset.name), "a", overwrite=True, **SHORT, progress=False)

    assert killed(point, train)
    dataset.reload()
    run = fg.load_run(dataset, "a")
    if run.trained == first.trained:  # the one or the other, never a mixture
        assert run == first
        assert np.array_equal(logits_of(run, dataset.values("filepath")), old)
    else:
        assert facts_of(dataset, run) == whole
    if run.trained == first.trained and how == "resume":
        found = fg.fine_tune(dataset, "a", resume=True)
    else:
        found = fg.fine_tune(dataset, "a", overwrite=True, **SHORT)
    assert facts_of(dataset, found) == whole
    check_tidy(dataset, "a")


@pytest.mark.parametrize("key", ["a", "b", "c"])
@pytest.mark.parametrize(
    "point",
    IMPORTING,
    ids=named,
)
def test_an_import_that_is_killed(dataset, tmp_path, point, key):
    other = make_run(dataset, "x", seed=1)
    folder = fg.export_run(dataset, other, str(tmp_path / "exported"))
    paths = dataset.values("filepath")
    new = logits_of(other, paths)
    fg.delete_run(dataset, "x")
    first = make_run(dataset, "a", seed=2)
    old = logits_of(first, paths)
    os.makedirs(run_folder(dataset, "b"))
    with open(os.path.join(run_folder(dataset, "b"), "state.pt"), "w") as file:
        file.write("of an interrupted training")

    def load() -> None:
        fg.import_run(fo.load_dataset(dataset.name), folder, key, overwrite=True)

    assert killed(point, load)
    dataset.reload()
    now = logits_of(fg.load_run(dataset, "a"), paths)
    is_new = key == "a" and fg.load_run(dataset, "a").trained != first.trained
    assert now == pytest.approx(new if is_new else old, abs=1e-5)
    found = fg.import_run(dataset, folder, key, overwrite=True)
    assert logits_of(found, paths) == pytest.approx(new, abs=1e-5)
    home = os.path.join(dataset_folder(dataset), "runs")
    assert sorted(os.listdir(home)) == sorted({"a", "b", key})
    folder = run_folder(dataset, key)
    named = {os.path.relpath(path, folder) for path in runs.paths_of(dataset, key)}
    assert set(tree(folder)) == named
