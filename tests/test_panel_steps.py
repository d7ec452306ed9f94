"""What the tab Steps says of its one-click buttons and of running jobs, without a browser."""

import os
from datetime import UTC, datetime, timedelta

import fiftyone as fo
import pytest
from bson import ObjectId
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionProgress
from made_runs import make_run, some_digits
from panel_contexts import context, end, requests
from panel_steps import buttons, buttons_of, drawn, suspicious, texts_of

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.panels import path
from fiftyone_gradcam.app.panels.next_step import START, Next
from fiftyone_gradcam.app.panels.step_list import draw_next, running_steps, step_line
from fiftyone_gradcam.dataset import run_files
from fiftyone_gradcam.dataset.files import run_folder
from fiftyone_gradcam.dataset.overview import overview
from fiftyone_gradcam.jobs import queue
from fiftyone_gradcam.jobs.job import CANCELLED_AND_ENDED
from fiftyone_gradcam.jobs.processes import name_of
from fiftyone_gradcam.jobs.reporter import Reporter


@pytest.fixture
def dataset(name, tmp_path):
    """90 digits in three classes, not split."""
    yield from some_digits(tmp_path, name, per_class=30)


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
    for verb in ("unknown", "find_anomalies"):  # which the line of Review says nothing about
        cards += [{"verb": verb, "state": "running", "progress": 0.5, "left": None}]
    assert running_steps(cards) == {"Predict": "canceling 70%, about 3 min left"}


def test_the_list_says_when_all_steps_are_done(panel, dataset):
    suspicious(dataset, 2)
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    words = "All steps are done"
    assert words not in texts_of(panel, dataset, state)
    state["steps"] = [[name, True, fact] for name, _, fact in state["steps"]]
    assert words in texts_of(panel, dataset, state)
    assert words not in texts_of(panel, dataset, state | {"is_busy": True})  # nothing is offered
    state["steps"] = [*state["steps"][:-1], ["Export", False, ""]]
    assert words not in texts_of(panel, dataset, state)
    state |= {"steps": []}
    assert words not in texts_of(panel, dataset, state)


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


def test_a_second_run_predicts_into_fields_of_its_own(panel, dataset, service, submit):
    def suggested() -> Next | None:
        options = path.next_of(dataset, overview(dataset), ())
        return next((one for one in options if one.verb == "predict"), None)

    make_run(dataset, "first")
    assert suggested().given == {"run": "first"}
    fg.predict(dataset, "first", progress=False)
    make_run(dataset, "second", seed=1)
    own = {"prediction_field": "prediction_second", "heatmap_field": "gradcam_second"}
    one = suggested()
    assert one.given == {"run": "second", **own}
    assert one.words.endswith("in new fields: prediction_second and gradcam_second.")
    before = dataset.values("prediction.id")
    fg.predict(dataset, **one.given, progress=False)
    assert dataset.values("prediction.id") == before
    assert len(dataset.exists("gradcam_second")) == len(dataset)
    assert suggested() is None
    # Evaluate and Scores show what was predicted just now.
    job = submit("predict", **one.given)
    state = {"tab": "jobs", "prediction_field": "prediction", "own": job.id}
    end(service, job)
    panel.on_tick(context(dataset, state))
    assert state["prediction_field"] == "prediction_second"
    # The next step shows mistakes at once, as the button of the job does.
    suspicious(dataset, 0)
    (shown,) = (x for x in path.next_of(dataset, overview(dataset), ()) if x.verb == "mistakes")
    assert shown.given == {"prediction_field": "prediction_second"}
    ctx = context(dataset, state, label="Show mistakes")
    panel.on_next(ctx)
    (view,) = requests(ctx, "set_view")
    seen = fo.DatasetView._build(dataset, view["view"])
    labels, found = seen.values(["ground_truth.label", "prediction_second.label"])
    assert labels
    assert all(x != y for x, y in zip(labels, found, strict=True))
    # What a run that is gone has predicted is replaced: FiftyOne deletes a run without its fields.
    fg.delete_run(dataset, "second")
    dataset.delete_run("first")
    make_run(dataset, "third", seed=2)
    assert suggested().given == {"run": "third"}


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


def test_the_mark_changes_with_each_change_and_only_then(dataset):
    ids = dataset.values("id")

    def edit(place: int) -> None:
        sample = dataset[ids[place]]
        sample["ground_truth"].label = f"now {place}"
        sample.save()

    changes = {
        "a label in the middle": lambda: edit(40),
        "the first label": lambda: edit(0),
        "the last label": lambda: edit(-1),
        "a sample that is older than these": lambda: dataset.delete_samples(ids[20]),
        "a run": lambda: make_run(dataset, "k"),
        "a run less": lambda: fg.delete_run(dataset, "k"),
        "a new sample": lambda: dataset.add_sample(fo.Sample("/new.png")),
    }
    for what, change in changes.items():
        before = path.mark_of(dataset)
        assert path.mark_of(dataset) == before, what
        change()
        assert path.mark_of(dataset) != before, what
