"""What the tab Steps says of its one-click buttons and of running jobs, without a browser."""

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId
from fiftyone.operators import types
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionProgress
from made_runs import CLASSES, make_run, some_digits
from panel_contexts import context, end, requests

from fiftyone_gradcam.app.operators import training_time
from fiftyone_gradcam.app.operators.fine_tune import FineTune
from fiftyone_gradcam.app.panels import path
from fiftyone_gradcam.app.panels.estimates import estimate, with_quick
from fiftyone_gradcam.app.panels.next_step import START, Next, quickly
from fiftyone_gradcam.app.panels.step_list import draw_next, running_steps, step_line
from fiftyone_gradcam.dataset import run_files, runs
from fiftyone_gradcam.dataset.files import run_folder
from fiftyone_gradcam.dataset.overview import overview
from fiftyone_gradcam.dataset.storing import Declared, declare
from fiftyone_gradcam.jobs import queue, speeds
from fiftyone_gradcam.jobs.job import CANCELLED_AND_ENDED
from fiftyone_gradcam.jobs.processes import name_of
from fiftyone_gradcam.jobs.reporter import Reporter
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


def form_context(dataset, **params) -> foo.executor.ExecutionContext:
    params = {"label_field": "ground_truth", **params}
    request = {"dataset_name": dataset.name, "params": params, "view_target": "DATASET"}
    uri = "@gradcam/classifier/fine_tune"
    return foo.executor.ExecutionContext(request_params=request, operator_uri=uri)


def drawn(panel, dataset, state) -> dict:
    """What the tab Steps shows, by name."""
    shown = types.Object()
    panel.draw_all_steps(context(dataset, state), shown)
    return shown.to_json()["properties"]


def texts_of(panel, dataset, state) -> str:
    found = drawn(panel, dataset, state)
    return "\n".join(str(x.get("default")) for x in found.values())


def buttons(shown: dict) -> Iterator[dict]:
    """All buttons below a part of a panel."""
    for one in shown.values():
        if one["view"] and one["view"]["name"] == "Button":
            yield one["view"]
        yield from buttons(one["type"].get("properties") or {})


def buttons_of(panel, dataset, state) -> list[str]:
    return [
        x["label"] for x in buttons(drawn(panel, dataset, state)) if x["label"] != "All actions"
    ]


def suspicious(dataset, count: int) -> None:
    """Let the first labels be suspicious."""
    facts = {"classes": CLASSES, "label_field": "ground_truth"}
    declare(dataset, "label_quality", Declared("float", "low is bad", facts, {}))
    declare(dataset, "suggested_label", Declared("classification", "another", facts, {}))
    other = fo.Classification(label="digit 2", confidence=0.9)
    values = [other.copy() if n < count else None for n in range(len(dataset))]
    dataset.set_values("suggested_label", values)
    dataset.set_values("label_quality", [0.1 if x else 0.9 for x in values])


def test_a_running_job_marks_its_step(panel, dataset, service, submit):
    suspicious(dataset, 2)
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    shown = texts_of(panel, dataset, state)
    assert "○&nbsp; Train" in shown
    job = submit("fine_tune", key="k")
    panel.read(context(dataset, state))
    assert "➤&nbsp; **Train** · queued" in texts_of(panel, dataset, state)
    service.set_running(ObjectId(job.id), run_link=name_of(os.getpid()))
    service.set_progress(ObjectId(job.id), ExecutionProgress(progress=0.4, label="Epoch 2"))
    panel.read(context(dataset, state))
    shown = texts_of(panel, dataset, state)
    assert "➤&nbsp; **Train** · running 40%" in shown
    assert shown.count("➤") == 1
    assert buttons_of(panel, dataset, state) == ["Review 2 suspicious labels", "Cancel"]
    assert "**Meanwhile:** Accept or keep each" in shown
    cards = [{"verb": "predict", "state": "cancelling", "progress": 0.7, "left": "3 min"}]
    cards += [{"verb": "predict", "state": "queued", "progress": 0.0, "left": None}]
    cards += [{"verb": "find_leaks", "state": "completed", "progress": 1.0, "left": None}]
    cards += [{"verb": "unknown", "state": "running", "progress": 0.5, "left": None}]
    assert running_steps(cards) == {"Predict": "canceling 70%, about 3 min left"}


def test_after_a_cancel_there_is_one_primary_button(panel, dataset, service, submit):
    job = submit("fine_tune", key="k")
    end(service, job, CANCELLED_AND_ENDED)
    folder = run_folder(dataset, "k")
    os.makedirs(folder)
    open(os.path.join(folder, run_files.STATE), "w").close()
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    found = {x["label"]: x["variant"] for x in buttons(drawn(panel, dataset, state))}
    assert [label for label, x in found.items() if x == "contained"] == ["Resume training 'k'"]
    assert "Resume" not in found  # which would be the same
    other = submit("predict", run="r")
    service.set_running(ObjectId(other.id), run_link="elsewhere 1 1.0")
    end(service, other, CANCELLED_AND_ENDED)
    panel.read(context(dataset, state))
    found = {x["label"]: x["variant"] for x in buttons(drawn(panel, dataset, state))}
    assert found["Resume"] == "outlined"
    assert list(found.values()).count("contained") == 1


def test_an_interrupted_prediction_is_resumed_by_the_next_step(panel, dataset, service, submit):
    make_run(dataset, "made")
    job = submit("predict", run="made", prediction_field="own")
    service.set_running(ObjectId(job.id), run_link="elsewhere 1 1.0")
    service.set_progress(ObjectId(job.id), ExecutionProgress(progress=0.9, label="9 of 10"))
    end(service, job, CANCELLED_AND_ENDED)
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    shown = buttons_of(panel, dataset, state)
    label = "Resume predicting with 'made'"
    assert label in shown
    assert "Resume" not in shown  # which would be the same
    panel.on_next(context(dataset, state, label=label))
    (new,) = queue.list_jobs(dataset)
    assert (new.given["run"], new.given["prediction_field"], new.given["resume"]) == (
        *("made", "own"),
        True,
    )
    service.delete_operation(ObjectId(new.id))


def test_a_resumed_training_says_so_and_starts_where_it_was(dataset, service, submit):
    job = submit("fine_tune", key="k")
    assert job.label == "Train 'k'"
    service.set_progress(ObjectId(job.id), ExecutionProgress(progress=0.35, label="Epoch 4"))
    end(service, job, CANCELLED_AND_ENDED)
    again = queue.repeat_job(job.id, resume=True)
    assert (again.label, again.progress) == ("Resume the training of 'k'", 0.35)
    service.set_running(ObjectId(again.id), run_link=name_of(os.getpid()))
    started = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=60)
    change = {"$set": {"started_at": started}}
    service._repo._collection.update_one({"_id": ObjectId(again.id)}, change)
    with Reporter(again.id) as reporter:
        reporter.report("Starting")
        again.refresh()
        assert (again.progress, again.message, again.seconds_left) == (0.35, "Starting", None)
        reporter(30, 100, "Epoch 4")  # an epoch is done again from its start
        assert again.refresh().progress == 0.3
    service.delete_operation(ObjectId(again.id))
    # What starts over starts at 0.
    over = queue.repeat_job(job.id)
    assert (over.label, over.progress) == ("Train 'k'", 0.0)
    service.delete_operation(ObjectId(over.id))


def test_a_changed_training_gets_a_free_name(panel, dataset, service):
    make_run(dataset, "first")
    make_run(dataset, "first_2", files=False)

    def proposed(key: str | None) -> str | None:
        form = {"epochs": 3, **({"key": key} if key else {})}
        given = {"samples": dataset, "key": key or "x", "backbone": "small_cnn", "weights": "none"}
        monkey = pytest.MonkeyPatch()
        monkey.setattr(queue.processes, "start_worker", lambda *args: name_of(os.getpid()))
        job = queue.submit("fine_tune", given, dataset, form)
        monkey.undo()
        end(service, job, "ValueError: wrong")
        ctx = context(dataset, {}, job=job.id)
        panel.on_change_job(ctx)
        (asked_for,) = requests(ctx, "prompt_user_for_operation")
        assert asked_for["params"]["epochs"] == 3
        queue.forget_job(job.id)
        return asked_for["params"].get("key")

    assert [proposed(key) for key in ("first", "first_2", "First", "free", "free_7", None)] == [
        *("first_3", "first_3", "First_3", "free", "free_7", None),
    ]
    os.makedirs(run_folder(dataset, "killed"))  # a training that was killed has its name too
    open(os.path.join(run_folder(dataset, "killed"), run_files.STATE), "w").close()
    assert proposed("killed") == "killed_2"


def test_times_stand_beside_what_they_are_of(panel):
    """That of the first in its sentence, those of the others below the buttons."""
    given = {"key": "k", "label_field": "own"}
    train = Next("Train", "Train a classifier", "Fine-tune it.", START, "fine_tune", given)
    find = Next("Review", "Find label issues", "Find them", START, "find_label_issues", {})
    times = {
        "Train a classifier": {"words": "resnet18, about 9 min", "is_long": True},
        "Train quickly": {"words": "about 1 min", "is_long": False},
        "Find label issues": {"words": "", "is_long": False},
    }

    def shown(*options: Next, known: dict) -> tuple:
        drawn_in = types.Object()
        draw_next(drawn_in, [x.to_dict() for x in options], known, panel.on_next)
        found = drawn_in.to_json()["properties"]
        times_below = found.get("next_times", {}).get("default")
        own = [(x["label"], x["variant"], x["params"]) for x in buttons(found)]
        return found["next_words"]["default"], times_below, own

    def button(label: str, is_first: bool = False) -> tuple:
        return label, "contained" if is_first else "outlined", {"label": label}

    assert shown(train, find, known=times) == (
        "**Next:** Fine-tune it (resnet18, about 9 min).",
        "Train quickly: about 1 min",
        [
            button("Train a classifier", is_first=True),
            button("Train quickly"),
            button("Find label issues"),
        ],
    )
    assert shown(find, train, known=times) == (
        "**Next:** Find them.",
        "Train a classifier: resnet18, about 9 min  \nTrain quickly: about 1 min",
        [
            button("Find label issues", is_first=True),
            button("Train a classifier"),
            button("Train quickly"),
        ],
    )
    assert shown(train, known={}) == (
        *("**Next:** Fine-tune it.", None, [button("Train a classifier", is_first=True)]),
    )


@pytest.mark.parametrize(
    ("done", "is_now", "line"),
    [
        (True, False, "✓&nbsp; **Split** · 3\\*"),
        (True, True, "➤&nbsp; **Split** · 3\\*"),
        (False, True, "➤&nbsp; **Split** · 3\\*"),
        (False, False, "○&nbsp; Split · 3\\*"),
    ],
)
def test_the_line_of_a_step(done, is_now, line):
    assert step_line("Split", done, "3*", is_now) == line
    assert step_line("Split", done, "", is_now) == line.removesuffix(" · 3\\*")
