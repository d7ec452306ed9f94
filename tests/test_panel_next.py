"""What the buttons of the tab "Steps" do: the next step, all actions, and what is out of date."""

from dataclasses import replace
from datetime import datetime

import fiftyone as fo
import pytest
from bson import ObjectId
from fiftyone.operators import types
from panel_contexts import context, end, make_dataset, requests

from fiftyone_gradcam.app.panels import path
from fiftyone_gradcam.app.panels.next_step import FORM, REVIEW, START, Next
from fiftyone_gradcam.app.panels.resuming import (
    ended_job,
    interrupted_training,
    resume_options,
    resumes_next,
)
from fiftyone_gradcam.app.panels.step_list import running_steps
from fiftyone_gradcam.dataset.freshness import Stale
from fiftyone_gradcam.dataset.overview import Overview
from fiftyone_gradcam.jobs import queue
from fiftyone_gradcam.jobs.job import CANCELLED_AND_ENDED, Job


@pytest.fixture
def dataset(name):
    return make_dataset(name)


@pytest.fixture
def jobs(dataset, service):
    """The jobs of the dataset by verb; gone afterwards."""

    def listed() -> list:
        return queue.list_jobs(dataset)

    yield listed
    for job in listed():
        service.delete_operation(ObjectId(job.id))


def lines(panel, dataset, state: dict) -> list[str]:
    shown = types.Object()
    panel.draw_steps(context(dataset, state), shown)
    return shown.to_json()["properties"]["step_list"]["default"].split("  \n")


def test_a_next_step_opens_a_form_or_the_review_or_starts(
    panel, dataset, monkeypatch, submit, jobs
):
    form = Next("Export", "Write a report", "Why.", FORM, "report")
    review = Next("Review", "Review 2 labels", "Why.", REVIEW)
    given = {"key": "k", "weights": "auto", "backbone": "small_cnn"}
    train = Next("Train", "Train a classifier", "Why.", START, "fine_tune", given)
    monkeypatch.setattr(path, "next_of", lambda *_: [form, review, train])
    state = {"tab": "jobs"}
    ctx = context(dataset, state, label="Write a report")
    panel.on_next(ctx)
    (asked,) = requests(ctx, "prompt_user_for_operation")
    assert asked["operator_uri"] == "@gradcam/classifier/report"
    assert (state["tab"], jobs()) == ("jobs", [])
    panel.on_next(context(dataset, state, label="Review 2 labels"))
    assert (state["tab"], state["strip"], jobs()) == ("review", 1, [])
    panel.on_next(context(dataset, state, label="Train a classifier"))
    (job,) = jobs()
    assert (job.given["weights"], job.form) == ("auto", {"key": "k", "backbone": "small_cnn"})
    assert (state["tab"], state["strip"], state["own"]) == ("jobs", 2, job.id)


def test_a_form_is_opened_by_its_name_alone(panel, dataset):
    for verb, opened in (("report", ["@gradcam/classifier/report"]), ("gone", []), (None, [])):
        ctx = context(dataset, {}, verb=verb)
        panel.on_action(ctx)
        assert [x["operator_uri"] for x in requests(ctx, "prompt_user_for_operation")] == opened


def test_a_click_starts_no_job_that_runs_already(panel, dataset, service, submit, jobs):
    given = {"run": "r", "prediction_field": "found"}

    def started() -> bool:
        before, state = {x.id for x in jobs()}, {"tab": "runs"}
        panel._start(context(dataset, state), "predict", given)
        assert state["tab"] == "jobs"
        new = [x.id for x in jobs() if x.id not in before]
        assert state.get("own") == (new[0] if new else None)
        for one in new:
            service.delete_operation(ObjectId(one))
        return bool(new)

    submit("mean_heatmaps", **given)  # another verb with these arguments
    submit("predict", run="r", prediction_field="other")
    submit("predict", run="r")
    assert started()
    same = submit("predict", run="r", prediction_field="found", heatmap_field="cam")
    assert not started()
    end(service, same)
    assert started()


def test_a_job_that_cannot_be_started_says_why(panel, dataset, monkeypatch, jobs):
    def fail(*_):
        raise OSError("no process can be started")

    monkeypatch.setattr(queue.processes, "start_worker", fail)
    ctx = context(dataset, {"tab": "runs"})
    panel._start(ctx, "predict", {"run": "r"})
    (said,) = requests(ctx, "notify")
    assert (said["message"], said["variant"]) == ("no process can be started", "error")
    assert ctx.panel_state == {"tab": "runs"}


def test_what_is_out_of_date_is_refreshed_by_a_job_if_a_verb_does_it(
    panel, dataset, monkeypatch, submit, jobs
):
    given = {"run": "r", "prediction_field": "found"}
    found = Stale("predictions", "found", "words", "predict", given)
    monkeypatch.setattr(path, "stale_values", lambda _: [Stale("leaks", "leak", "words"), found])
    for kind, name, starts in (
        ("leaks", "leak", False),  # nothing refreshes it
        ("leaks", "found", False),
        ("predictions", "leak", False),
        ("predictions", "found", True),
    ):
        state = {"tab": "jobs"}
        panel.on_refresh_stale(context(dataset, state, kind=kind, name=name))
        assert [(x.verb, x.given["prediction_field"]) for x in jobs()] == (
            [("predict", "found")] if starts else []
        )
        assert state["steps"]  # in any case it is looked again


def test_values_that_one_call_refreshes_are_listed_once():
    given = {"run": "r"}
    first = Stale("predictions", "found", "a", "predict", given)
    maps = Stale("heatmaps", "cam", "b", "predict", given)
    other = Stale("heatmaps", "cam", "b", "predict", {"run": "o"})
    leaks = Stale("leaks", "leak", "c")
    again = Stale("leaks", "leak", "d")
    more = Stale("leaks", "leak_2", "c")
    found = path._once([first, maps, other, leaks, again, more])
    assert found == [first, other, leaks, more]


def test_one_step_is_marked_as_that_of_now(panel, dataset):
    steps = [["Train", True, "run 'r'"], ["Retrain", False, "1 correction"], ["Export", True, ""]]
    state = {"steps": steps, "next": [{"step": "Export"}], "is_busy": True}
    train, retrain, export = "✓&nbsp; **Train** · run 'r'", "Retrain** · 1", "✓&nbsp; **Export**"
    shown = lines(panel, dataset, state)
    assert (shown[0], shown[2]) == (train, export)  # what is done is not marked
    assert shown[1] == "○&nbsp; Retrain · 1 correction"
    state["next"] = [{"step": "Retrain"}]
    shown = lines(panel, dataset, state)
    assert (shown[0], shown[1]) == (train, f"➤&nbsp; **{retrain} correction")
    # While a training runs, what was said of an earlier one is true no longer.
    card = {"verb": "fine_tune", "state": "running", "progress": 0.4, "left": None}
    shown = lines(panel, dataset, state | {"cards": [card]})
    assert shown[:2] == ["➤&nbsp; **Train** · running 40%", "○&nbsp; Retrain"]
    card["verb"] = "predict"
    assert lines(panel, dataset, state | {"cards": [card], "next": None})[1].endswith(
        "1 correction"
    )


def test_the_mark_of_a_dataset_without_an_index_counts_samples_and_runs(name):
    dataset = fo.Dataset(name)
    dataset.add_sample(fo.Sample("/x.png"))
    assert len(path.mark_of(dataset)) == 3
    dataset._sample_collection.drop_index([("last_modified_at", 1)])
    assert path.mark_of(dataset) == [1, []]


def test_estimates_are_made_of_what_is_started(panel, dataset, monkeypatch):
    form = Next("Export", "Write a report", "Why.", FORM, "report")
    start = Next("Review", "Find label issues", "Why.", START, "find_label_issues")
    for options, is_timed in (([start], True), ([form], False), ([form] * 3 + [start], False)):
        monkeypatch.setattr(path, "next_of", lambda *_, x=options: x)
        state = {"times_waits": True}
        panel.read_steps(context(dataset, state))
        assert (state["times_due"] is not None, state["times_waits"]) == (is_timed, None)


def test_the_newest_job_is_resumed_if_it_has_ended(dataset, service, submit):
    def found(**own):
        one = ended_job(dataset, "predict", own)
        return one and one.id

    first, last = submit("predict", run="r"), submit("predict", run="o")
    submit("mean_heatmaps", run="r")
    assert found(run="r") is None
    end(service, first, CANCELLED_AND_ENDED)
    assert (found(run="r"), found(run="o"), found(run="x")) == (first.id, None, None)
    end(service, last)
    assert (found(), found(run="r"), found(run="o")) == (last.id, first.id, last.id)
    assert interrupted_training(dataset, Overview(canceled="1 of 2 epochs", runs={"o": "1"})) == "o"
    assert interrupted_training(dataset, Overview()) is None


def test_a_card_without_key_resumes_nothing_above():
    class State:
        is_busy, next = False, [{"how": "resume", "verb": "fine_tune", "given": {"key": "k"}}]

    card = {"verb": "fine_tune", "key": "k"}
    assert resumes_next(State, card)
    assert not resumes_next(State, card | {"key": "j"})


def test_what_a_job_has_done_is_kept_by_those_that_continue(dataset):
    job = Job("1", "", "", "failed", 0.5, "", 9.0, None, datetime(2026, 1, 1), {}, True, {}, None)
    goes_on, resumes = {}, {"resume": True}
    for verb, found in (
        *((verb, goes_on) for verb in ("find_label_issues", "import_folders", "retrain")),
        *((verb, goes_on) for verb in ("compute_embeddings", "show_embeddings")),
        *(("predict", resumes), ("split", None), ("fine_tune", None)),  # which has left no state
    ):
        assert resume_options(dataset, replace(job, verb=verb)) == found, verb
        unstarted = replace(job, verb=verb, seconds=None)
        assert resume_options(dataset, unstarted) is None
        nothing = replace(job, verb=verb, progress=0.0)
        assert resume_options(dataset, nothing) == (None if found == goes_on else found)
        canceled = replace(nothing, state="cancelled")
        assert resume_options(dataset, canceled) == found


def test_jobs_that_make_a_step_are_in_its_line():
    steps = {
        "import_folders": "Import", "split": "Split", "fine_tune": "Train", "predict": "Predict",
        "find_label_issues": "Review", "retrain": "Retrain", "export_folders": "Export",
        "export_reviews": "Export", "report": "Export",
    }  # fmt: skip
    for verb, step in steps.items():
        for state, words in (
            ("queued", "queued, about 1 min left"),
            ("running", "running 40%, about 1 min left"),
            ("cancelling", "canceling 40%, about 1 min left"),
        ):
            card = {"verb": verb, "state": state, "progress": 0.4, "left": "1 min"}
            assert running_steps([card]) == {step: words}
        card = {"verb": verb, "state": "completed", "progress": 1.0, "left": None}
        assert running_steps([card]) == {}


def test_plots_are_loaded_ahead_if_there_will_be_some(panel, dataset):
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    for done, more, ahead in (
        ("Train", {}, True),
        ("Predict", {}, True),
        ("Import", {}, False),
        ("Train", {"is_busy": True}, False),  # a job may draw its own
        ("Train", {"stale_due": True}, False),
    ):
        known = {"steps": [[done, True, ""], ["Train", False, ""]], "stale_due": None, **more}
        shown = types.Object()
        panel.draw_all_steps(context(dataset, state | known), shown)
        assert ("ahead" in shown.properties) == ahead
