"""About how long the one-click buttons of the tab Steps will take, without a browser."""

import os
import sys
from dataclasses import asdict, replace

import pytest
from bson import ObjectId
from fiftyone.operators import types
from fiftyone.operators.delegated import DelegatedOperationService
from made_runs import make_run, some_digits
from panel_contexts import context
from panel_steps import buttons, buttons_of, form_context, suspicious, texts_of

from fiftyone_gradcam.app.operators import training_time
from fiftyone_gradcam.app.operators.fine_tune import FineTune
from fiftyone_gradcam.app.panels import path
from fiftyone_gradcam.app.panels.estimates import estimate, with_quick
from fiftyone_gradcam.app.panels.next_step import START, Next, quickly
from fiftyone_gradcam.dataset import run_files, runs
from fiftyone_gradcam.dataset.files import run_folder
from fiftyone_gradcam.dataset.overview import overview
from fiftyone_gradcam.jobs import queue, speeds
from fiftyone_gradcam.jobs.processes import name_of
from fiftyone_gradcam.training.duration import Speed

SPEED = Speed("cpu", decode=0.5, learn=10.0, look=2.0)


@pytest.fixture
def dataset(name, tmp_path):
    """90 digits in three classes, not split."""
    yield from some_digits(tmp_path, name, per_class=30)


@pytest.fixture
def asked(monkeypatch) -> list[dict]:
    """What was to be measured: nothing is measured here."""
    found = []

    def measured(request, patience, yields=False, keep=None):
        assert (patience, yields) == (0.0, True)  # a panel waits for nothing
        found.append(request)

    monkeypatch.setattr(training_time, "measured", measured)
    return found


FORKED = 2 if sys.platform == "linux" else 5  # of a process, which is forked or not


def to_train(backbone: str) -> Next:
    given = {"key": "new", "label_field": "ground_truth", "weights": "auto", "backbone": backbone}
    return Next("Train", "Train a classifier", "", START, "fine_tune", given)


def test_a_training_is_estimated_before_it_is_started(dataset, asked):
    one = to_train("mobilenet_v2")
    found = estimate(dataset, one, measures=False)
    assert (str(found), found.time, asked) == ("mobilenet_v2, 38 epochs", None, [])
    assert estimate(dataset, one, measures=True).time is None
    (request,) = asked
    assert (request["recipe"], request["classes"]) == ("default", 3)
    assert len(request["paths"]) == 8
    speeds.keep_speed(dataset, "mobilenet_v2", None, SPEED)
    found = estimate(dataset, one, measures=True)
    assert len(asked) == 1  # it was measured just now
    # Of 30 in each class, 18 are to train on and 6 to validate. 54 images are decoded once more and
    # seen in three ways to choose how they are resized; 72 go through the network before the first
    # of 38 epochs of at least 150 steps of 16.
    seconds = 72 * 0.5 + 54 * (0.5 + 3 * 2) + 72 * 2 + 38 * (54 * 10 + 18 * 2) + FORKED
    assert (found.what, found.is_long) == ("mobilenet_v2, 38 epochs", True)
    assert found.time.seconds == seconds
    assert str(found) == "mobilenet_v2, 38 epochs, about 6 h 14 min on the CPU"
    # Without augmentation, each image goes through the network once.
    quick = quickly(one)
    assert (quick.verb, quick.given["key"], quick.given["recipe"]) == (
        *("fine_tune", "new", "linear-probe"),
    )
    found = estimate(dataset, quick, measures=True)
    assert found.time.seconds == 72 * 0.5 + 54 * (0.5 + 3 * 2) + 72 * 2 + FORKED
    cost = "only the new layers (less accurate if images are unlike photos)"
    assert str(found) == f"mobilenet_v2, {cost}, about 9 min on the CPU"
    assert not found.is_long
    # From scratch there is nothing to keep fixed.
    speeds.keep_speed(dataset, "small_cnn", None, SPEED)
    assert not estimate(dataset, to_train("small_cnn"), measures=True).is_long
    assert [x.label for x in with_quick([one])] == ["Train a classifier", "Train quickly"]
    assert len(asked) == 1


def test_a_retraining_takes_as_long_as_the_training_did(dataset, asked):
    run = make_run(dataset, "made", epochs=4)  # its rows say nothing about the time
    one = Next("Retrain", "Retrain", "", START, "retrain", {"run": "made"})
    assert str(estimate(dataset, one, measures=True)) == "small_cnn, 4 epochs"
    (request,) = asked
    assert request["choices"]["backbone"] == "small_cnn"
    rows = [{**row, "seconds": 10.0 if row["epoch"] else 7.0} for row in run.history]  # 3 epochs
    runs.save_run(dataset, replace(run, history=rows))
    found = estimate(dataset, one, measures=True)
    assert found.time.seconds == pytest.approx(1.1 * (7 + 4 * 10) + FORKED)
    assert str(found) == f"small_cnn, 4 epochs, about {round(51.7 + FORKED)} s"
    assert len(asked) == 1
    # A run that was imported from elsewhere has no state, and other machines have other speeds.
    os.remove(os.path.join(run_folder(dataset, "made"), run_files.STATE))
    assert estimate(dataset, one, measures=True).time is None
    assert len(asked) == 2


def test_a_prediction_is_estimated_by_the_speed_of_its_network(dataset, asked):
    make_run(dataset, "made")
    one = Next("Predict", "Predict with 'made'", "", START, "predict", {"run": "made"})
    assert str(estimate(dataset, one, measures=True)) == ""
    assert len(asked) == 1
    speeds.keep_speed(dataset, "small_cnn", 32, SPEED)
    found = estimate(dataset, one, measures=True)
    assert found.time.seconds == pytest.approx(90 * (0.5 + 1.1 * 2) + FORKED)
    assert str(found) == "about 4 min on the CPU"
    assert estimate(dataset, replace(one, how="form"), measures=True) is None
    assert estimate(dataset, replace(one, verb="find_label_issues"), measures=True) is None


def test_the_panel_shows_estimates_when_they_are_there(panel, dataset, asked, monkeypatch):
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    due = state["times_due"]
    assert due is not None
    assert "Train a classifier: estimating the time…" in texts_of(panel, dataset, state)
    for _ in range(3):  # what is out of date is read first
        panel.on_tick(context(dataset, state))
    assert state["times_due"] == due
    assert state["times"]["Train a classifier"]["seconds"] is None
    words = texts_of(panel, dataset, state)
    assert "Train a classifier: resnet18, 38 epochs, estimating the time…" in words
    assert buttons_of(panel, dataset, state) == ["Find label issues", "Train a classifier"]
    for backbone in ("resnet18", "squeezenet1_1", "mobilenet_v2", "resnet50"):  # what is cached
        speeds.keep_speed(dataset, backbone, None, SPEED)
    panel.on_tick(context(dataset, state))
    assert state["times_due"] is None
    words = texts_of(panel, dataset, state)
    assert "estimating" not in words
    assert "38 epochs, about 6 h 14 min on the CPU" in words
    cost = "less accurate if images are unlike photos"
    quick = f"only the new layers ({cost}), about 9 min on the CPU"
    assert f"Train quickly: resnet18, {quick}" in words
    assert buttons_of(panel, dataset, state) == [
        *("Find label issues", "Train a classifier", "Train quickly"),
    ]
    # The job starts with the time that was shown.
    monkeypatch.setattr(queue.processes, "start_worker", lambda *args: name_of(os.getpid()))
    panel.on_next(context(dataset, state, label="Train quickly"))
    (job,) = queue.list_jobs(dataset)
    assert (job.given["recipe"], job.form["recipe"]) == ("linear-probe", "linear-probe")
    operation = DelegatedOperationService().get(ObjectId(job.id))
    assert operation.metadata["expected_seconds"] == state["times"]["Train quickly"]["seconds"]
    DelegatedOperationService().delete_operation(ObjectId(job.id))


def test_tabs_that_need_predictions_show_what_is_running_or_comes_first(
    panel, dataset, service, submit
):
    for draw in (panel.draw_evaluation, panel.draw_scores):

        def shown(state: dict, draw=draw) -> tuple[str, list[str]]:
            panel.read(context(dataset, state))
            drawn_in = types.Object()
            draw(context(dataset, state), drawn_in)
            found = drawn_in.to_json()["properties"]
            return found["no_predictions"]["default"], [x["label"] for x in buttons(found)]

        state = {"tab": "evaluate"}
        words, labels = shown(state)
        first = state["next"][0]
        assert words == f"There are no predictions here yet. {first['words']}"
        assert labels == [first["label"]]
        job = submit("fine_tune", key="k")
        assert shown(state) == ("There are no predictions here yet. **Train 'k'** · queued", [])
        service.delete_operation(ObjectId(job.id))


def test_an_estimate_is_waited_for_on_a_busy_machine(panel, dataset, asked, monkeypatch):
    busy = [True]
    monkeypatch.setattr(path, "is_measuring", lambda: busy[0])
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    for after in (0, 2 * path.WAIT_SECONDS):
        state["times_due"] -= after
        panel.read_times(context(dataset, state))
        assert "38 epochs, estimating the time…" in texts_of(panel, dataset, state)
    speeds.keep_speed(dataset, "resnet18", None, SPEED)
    busy[0] = False
    panel.read_times(context(dataset, state))
    assert state["times_due"] is None
    assert "38 epochs, about 6 h 14 min on the CPU" in texts_of(panel, dataset, state)
    # If there is nothing to wait for, nothing is promised.
    monkeypatch.setattr(speeds, "FRESH_SECONDS", 0.0)
    speeds._store(dataset).clear()
    panel.read(context(dataset, state))
    state["times_due"] -= 2 * path.WAIT_SECONDS
    panel.read_times(context(dataset, state))
    assert state["times_due"] is None
    assert "estimating" not in texts_of(panel, dataset, state)


def test_a_training_is_timed_while_labels_are_reviewed(panel, dataset, asked):
    suspicious(dataset, 2)
    state = {"tab": "jobs", "turns_to": "review", "times_due": 1.0}
    panel.on_tick(context(dataset, state))
    assert state["tab"] == "review"
    assert [(x["recipe"], x["classes"]) for x in asked] == [("default", 3)]


def test_a_measurement_is_kept_even_if_nobody_waits_for_it(dataset, monkeypatch):
    started = []

    def measured(request, patience, yields=False, keep=None):
        started.append(keep)

    monkeypatch.setattr(training_time, "measured", measured)
    one = to_train("mobilenet_v2")
    assert estimate(dataset, one, measures=True).time is None
    started[0]({"error": "no memory"})
    assert estimate(dataset, one, measures=True).time is None
    started[0]({"speed": asdict(SPEED), "image_size": 224})
    assert speeds.kept_speed(dataset, "mobilenet_v2", None) == (SPEED, True)
    assert speeds.kept_speed(dataset, "mobilenet_v2", 224) == (SPEED, True)
    assert estimate(dataset, one, measures=True).time is not None


def test_a_form_and_the_button_in_steps_train_the_same_network(dataset, tmp_path, monkeypatch):
    requests_of, weights = [], tmp_path / "torch" / "hub" / "checkpoints"
    weights.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def measured(request, patience, yields=False, keep=None):
        requests_of.append({name: x for name, x in request.items() if name != "paths"})

    monkeypatch.setattr(training_time, "measured", measured)
    for cached, used in (
        ([], "resnet18"),
        (["squeezenet1_1"], "squeezenet1_1"),
        (["mobilenet_v2"], "mobilenet_v2"),  # is before squeezenet1_1
        (["resnet18"], "resnet18"),
    ):
        for name in cached:
            (weights / f"{name}-0123abcd.pth").touch()
        requests_of.clear()
        given = FineTune().arguments(form_context(dataset))
        button = next(
            x for x in path.next_of(dataset, overview(dataset), ()) if x.verb == "fine_tune"
        )
        assert given.get("backbone", "resnet18") == button.given["backbone"] == used
        assert given["key"] == button.given["key"] == used
        estimate(dataset, button, measures=True)
        images = training_time.images_of(given)
        training_time.training_time(given, images, 0.0)
        assert len(requests_of) == 2
        assert requests_of[0] == requests_of[1]  # so both show the result of one measurement
    # What a recipe or a run names is not replaced.
    (weights / "resnet18-0123abcd.pth").unlink()
    given = FineTune().arguments(form_context(dataset, recipe="matlab-food"))
    assert "backbone" not in given
    make_run(dataset, "made")
    given = FineTune().arguments(form_context(dataset, recipe="run made"))
    assert given["backbone"] == "small_cnn"
