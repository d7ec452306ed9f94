"""The panel's jobs without a browser: what is read of them, and what their buttons do."""

import os
import time
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId
from fiftyone.operators import types
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, ExecutionProgress
from panel_contexts import PAIRS, context, end, looked, make_dataset, requests

from fiftyone_gradcam.app.operators.verb import filled_in
from fiftyone_gradcam.app.panels import jobs
from fiftyone_gradcam.app.panels.jobs import _row
from fiftyone_gradcam.dataset.live import LiveTraining
from fiftyone_gradcam.jobs import queue
from fiftyone_gradcam.jobs.job import CANCELLED_AND_ENDED, LOST, Job, cancel_job, load_job
from fiftyone_gradcam.jobs.processes import name_of


@pytest.fixture
def dataset(name):
    return make_dataset(name)


def test_what_the_jobs_tab_reads(panel, dataset, service, submit):
    first, second = submit("split", fractions={"train": 1.0}), submit("predict", run="r")
    state = {}
    assert looked(panel, dataset, state) == []
    assert state["going"] == [second.id, first.id]
    assert state["is_busy"]
    cards = state["cards"]
    assert [card["id"] for card in cards] == [first.id, second.id]  # in the order of their start
    assert cards[1]["message"] == f"Waits for: {first.label}"
    assert cards[0]["message"] != cards[1]["message"]
    assert [card["again"] for card in cards] == [None, None]
    service.set_running(ObjectId(first.id), run_link=name_of(os.getpid()))
    service.set_progress(ObjectId(first.id), ExecutionProgress(progress=0.25, label="on its way"))
    looked(panel, dataset, state)
    assert state["cards"][0]["words"] == f"**{first.label}** · running"
    assert state["cards"][0]["message"] == "on its way"
    end(service, first)
    (ended,) = looked(panel, dataset, state)
    assert (ended.id, ended.state) == (first.id, "completed")
    assert looked(panel, dataset, state) == []  # it is news once only
    # What goes on comes first, and of those that have ended there is the last alone.
    assert [card["id"] for card in state["cards"]] == [second.id, first.id]
    end(service, second, LOST)
    looked(panel, dataset, state)
    assert [card["id"] for card in state["cards"]] == [second.id]
    assert state["cards"][0]["state"] == "lost"
    assert [row["message"] for row in state["earlier"]] == [load_job(first.id).message]
    assert not state["is_busy"]
    # A job started here may have ended before it was seen running.
    assert [job.id for job in looked(panel, dataset, {"own": first.id})] == [first.id]
    assert looked(panel, dataset, {}) == []


def test_heatmaps_that_were_replaced_before_the_page_was_loaded_are_loaded(
    panel, dataset, service, submit, monkeypatch
):
    """The page may have asked for the samples just before their files were replaced."""
    maps, other = submit("predict", run="r"), submit("split", fractions={"train": 1.0})
    for job in (maps, other):
        service.set_running(ObjectId(job.id), run_link=name_of(os.getpid()))

    busy = []

    def reloads() -> list:
        state = {"steps": []}
        panel.on_load(context(dataset, state))
        busy.append(state["is_busy"])
        ctx = context(dataset, state)
        panel.on_tick(ctx)
        again = context(dataset, state)
        panel.on_tick(again)
        assert requests(again, "reload_dataset") == []  # it is done once
        return requests(ctx, "reload_dataset")

    assert reloads() == []
    end(service, other)
    assert reloads() == []
    end(service, maps)
    assert len(reloads()) == 1
    monkeypatch.setattr(jobs, "RECENT_SECONDS", -1.0)  # long ago
    assert reloads() == []
    assert busy == [True, True, True, False]  # it looks soon


@pytest.mark.parametrize(
    ("verb", "error", "again"),
    [
        ("predict", LOST, "Resume"),
        ("find_label_issues", CANCELLED_AND_ENDED, "Resume"),  # what it has computed is kept
        ("predict", CANCELLED_AND_ENDED, "Resume"),
        ("retrain", CANCELLED_AND_ENDED, "Resume"),
        ("fine_tune", LOST, "Run again"),  # it has left no state
        ("find_leaks", "ValueError: wrong", "Run again"),
        ("find_leaks", None, None),
    ],
)
def test_a_job_that_came_to_nothing_can_be_called_again(
    panel, dataset, service, submit, verb, error, again
):
    given = (
        {"run": "r"}
        if verb in ("predict", "retrain")
        else {"key": "k"}
        if verb == "fine_tune"
        else {}
    )
    job = submit(verb, **given)
    service.set_running(ObjectId(job.id), run_link="elsewhere 1 1.0")
    end(service, job, error)
    state = {}
    looked(panel, dataset, state)
    (card,) = state["cards"]
    assert card["again"] == again
    if again:
        panel.on_again(context(dataset, state, job=job.id))
        (new,) = queue.list_jobs(dataset)  # the old one is off the list
        assert new.id == state["own"] != job.id
        resumes = again == "Resume" and verb == "predict"
        assert new.given.get("resume") == (True if resumes else None)
        DelegatedOperationService().delete_operation(ObjectId(new.id))


@pytest.mark.parametrize(
    ("verb", "given"),
    [("predict", {"run": "r"}), ("find_label_issues", {}), ("import_folders", {"path": "/x"})],
)
def test_a_job_that_was_canceled_before_it_started_is_not_resumed(
    panel, dataset, submit, verb, given
):
    job = submit(verb, **given)
    cancel_job(job.id)
    state = {}
    looked(panel, dataset, state)
    assert [card["again"] for card in state["cards"]] == ["Run again"]
    DelegatedOperationService().delete_operation(ObjectId(job.id))


def test_an_import_that_failed_at_its_start_is_not_resumed(panel, dataset, service, submit):
    for progress, error, again in (
        (0.0, "ValueError: taken", "Run again"),
        (0.4, "OSError: disk full", "Resume"),
        (0.0, CANCELLED_AND_ENDED, "Resume"),
    ):
        job = submit("import_folders", path="/x")
        service.set_running(ObjectId(job.id), run_link="elsewhere 1 1.0")
        service.set_progress(ObjectId(job.id), ExecutionProgress(progress=progress, label="m"))
        end(service, job, error)
        state = {}
        looked(panel, dataset, state)
        assert [card["again"] for card in state["cards"]] == [again]
        queue.forget_job(job.id)


def texts_in(drawn: dict) -> Iterator[str]:
    """All texts below a part of a panel."""
    for part in drawn.values():
        yield str(part.get("default"))
        yield from texts_in(part["type"].get("properties") or {})


def test_what_was_written_is_a_job_that_stays_with_a_link(
    panel, dataset, service, submit, tmp_path, monkeypatch
):
    out = tmp_path / "a [b]_c.html"

    def written() -> list:
        ctx = context(dataset, {}, out=str(out), overwrite=True)
        ctx.request_params["params"] = ctx.params = {"out": str(out), "overwrite": True}
        foo.get_operator("@gradcam/classifier/report").execute(ctx)
        return ctx.executor.to_json()["requests"]

    messages = [x["operator_uri"].rpartition("/")[2] for x in written()]
    assert messages == ["notify"]  # without the App, it is only said
    assert queue.list_jobs(dataset) == []
    monkeypatch.setenv("FIFTYONE_SERVER", "1")
    (opened,) = written()
    assert opened["operator_uri"].endswith("open_panel")
    (job,) = queue.list_jobs(dataset)
    assert (job.verb, job.label, job.state) == ("report", "Write a report", "completed")
    # Beside the grid, with its card in view.
    assert opened["params"]["layout"] == "horizontal"
    assert opened["params"]["state"] == {"state": {"tab": "jobs", "own": job.id}}
    assert job.message == f"Report written to {out}"
    state = {"tab": "runs", "shows_actions": True}
    before = time.time()
    panel.on_job(context(dataset, state, job=job.id))
    assert (state["tab"], state["shows_actions"]) == ("jobs", True)
    drawn = panel.render(context(dataset, state)).to_json()["type"]["properties"]
    assert drawn["plot_sizes"]["view"]["top"] >= before  # scrolls there, where the card is

    def links() -> list[str]:
        shown = types.Object()
        panel.read_jobs(context(dataset, state))
        panel.draw_jobs(context(dataset, state), shown)
        return [x for x in texts_in(shown.to_json()["properties"]) if "](" in x]

    address = f"/media?filepath={quote(str(out), safe='')}"
    link = f"[Open a \\[b\\]\\_c.html]({address})"
    assert links() == [link]
    later = submit("find_leaks")
    end(service, later)
    assert links() == []  # its card is that of the newest job
    shown = types.Object()
    panel.draw_earlier(context(dataset, state), shown)
    (rows,) = texts_in(shown.to_json()["properties"])
    assert rows.endswith(f" · {link}")
    queue.forget_job(later.id)
    assert links() == [link]
    out.unlink()
    assert links() == []
    queue.forget_job(job.id)


def test_a_job_that_failed_opens_its_form_as_it_was_filled_in(panel, dataset, service, submit):
    job = submit("find_leaks")  # by Python: there is no form to go back to
    form = {"run": "r", "signed": True, "a.b": 2, "call": "no"}
    filled = queue.submit("predict", {"samples": dataset, "run": "r"}, dataset, form)
    for one in (job, filled):
        service.set_running(ObjectId(one.id), run_link="elsewhere 1 1.0")
        end(service, one, "ValueError: wrong")
    state = {}
    looked(panel, dataset, state)
    (card,) = state["cards"]
    assert (card["id"], card["change"], card["again"]) == (filled.id, True, "Resume")
    ctx = context(dataset, state, job=filled.id)
    panel.on_change_job(ctx)
    (asked,) = requests(ctx, "prompt_user_for_operation")
    assert asked["operator_uri"].endswith("/predict")
    assert asked["params"] == {"run": "r", "signed": True, "a.b": 2}
    assert requests(ctx, "set_view") == []
    again = queue.repeat_job(filled.id)
    assert again.form == {"run": "r", "signed": True, "a.b": 2}
    DelegatedOperationService().delete_operation(ObjectId(again.id))
    queue.forget_job(filled.id)
    looked(panel, dataset, state)
    assert [card["change"] for card in state["cards"]] == [False]
    # What is called again can be changed too.
    again = queue.repeat_job(job.id)
    assert again.form is None
    DelegatedOperationService().delete_operation(ObjectId(again.id))


@pytest.mark.parametrize(
    ("target", "opens", "asked_for"),
    [
        ("CURRENT_VIEW", True, "CURRENT_VIEW"),
        ("SELECTED_SAMPLES", True, "CURRENT_VIEW"),  # the App's selection may be another by now
        ("DATASET", False, "DATASET"),
    ],
)
def test_a_form_opens_with_the_view_that_its_job_was_given(
    panel, dataset, service, target, opens, asked_for
):
    view = dataset.match_tags("never") if target == "CURRENT_VIEW" else dataset[:2].view()
    chosen = dataset if target == "DATASET" else view
    filled = executed_form(target)
    assert filled == {"run": "r", "view_target": target}
    job = queue.submit("predict", {"samples": chosen, "run": "r"}, dataset, filled)
    service.set_running(ObjectId(job.id), run_link="elsewhere 1 1.0")
    end(service, job, "ValueError: wrong")
    ctx = context(dataset, {}, job=job.id)  # an App that shows the whole dataset
    panel.on_change_job(ctx)
    (asked,) = requests(ctx, "prompt_user_for_operation")
    assert asked["params"] == {"run": "r", "view_target": asked_for}
    assert [x["view"] for x in requests(ctx, "set_view")] == [view._serialize()] * opens
    same = context(dataset, {}, job=job.id)  # one that shows that view already
    same.request_params["view"] = chosen.view()._serialize()
    panel.on_change_job(same)
    assert requests(same, "set_view") == []
    queue.forget_job(job.id)


def executed_form(target: str) -> dict:
    """What is kept of a form that the App sends: the choice of samples comes beside its values."""
    request = {"view_target": target, "params": {"run": "r"}}
    return filled_in(ExecutionContext(request_params=request))


def test_two_looks_at_once_report_an_end_once(panel, dataset, service, submit):
    job = submit("predict", run="r")
    states = [{"tab": "review", "own": job.id, "going": [job.id], "loaded_page": 1.5}] * 2
    end(service, job, result={"summary": "done", "fields": ["found"]})
    contexts = [context(dataset, dict(state)) for state in states]
    for ctx in contexts:
        panel.on_tick(ctx)
    assert [len(requests(ctx, "notify")) for ctx in contexts] == [1, 0]
    assert [len(requests(ctx, "set_active_fields")) for ctx in contexts] == [1, 0]
    other_page = context(dataset, states[0] | {"loaded_page": 2.5})
    panel.on_tick(other_page)
    assert len(requests(other_page, "notify")) == 1
    # Where its card is shown, a message would only hide what is there.
    steps = context(dataset, states[0] | {"tab": "jobs", "loaded_page": 3.5})
    panel.on_tick(steps)
    assert requests(steps, "notify") == []
    assert len(requests(steps, "set_active_fields")) == 1


def test_jobs_are_cancelled_and_forgotten_by_their_buttons(panel, dataset, submit):
    job, state = submit("predict", run="r"), {"tab": "jobs"}
    panel.on_forget(context(dataset, state, job=job.id))
    assert [own.id for own in queue.list_jobs(dataset)] == [job.id]  # it has not ended
    panel.on_cancel(context(dataset, state, job=job.id))
    assert load_job(job.id).state == "cancelled"
    panel.on_forget(context(dataset, state, job=job.id))
    assert queue.list_jobs(dataset) == []


def test_the_outcome_of_a_job_is_shown_to_whoever_began_it(panel, dataset, service, submit):
    mine, other = submit("predict", run="r"), submit("find_leaks")
    state = {"tab": "runs", "own": mine.id, "going": [mine.id, other.id]}
    for job in (mine, other):
        end(service, job, result={"summary": "done", "fields": ["found", "cam"]})
    ctx = context(dataset, state)
    panel.on_tick(ctx)
    reported = [request["message"] for request in requests(ctx, "notify")]
    assert sorted(reported) == sorted(
        f"{job.label}: {load_job(job.id).message}" for job in (mine, other)
    )
    assert [r["fields"] for r in requests(ctx, "set_active_fields")] == [["found", "cam"]]
    assert len(requests(ctx, "reload_dataset")) == 2
    assert state["own"] is None
    # An import opens its dataset where it was started, and nowhere else.
    for own, opened in ((True, 1), (False, 0)):
        made = submit("import_folders", path="/x")
        end(service, made, result={"summary": "done", "dataset": "x"})
        state |= {"own": made.id if own else None, "going": [made.id]}
        ctx = context(dataset, state)
        panel.on_tick(ctx)
        assert requests(ctx, "show_import") == [{"job": made.id}] * opened
        assert len(requests(ctx, "notify")) == 1 - opened
    # A job that failed has no outcome, and leaves the dataset as it is.
    failed = submit("predict", run="r")
    end(service, failed, "ValueError: wrong")
    state |= {"own": failed.id, "going": [failed.id]}
    ctx = context(dataset, state)
    panel.on_tick(ctx)
    assert [request["variant"] for request in requests(ctx, "notify")] == ["error"]
    assert requests(ctx, "set_active_fields") == requests(ctx, "reload_dataset") == []


def test_mistakes_of_a_prediction_are_one_click_away(panel, dataset, service, submit):
    state = {}
    for field in (None, "found"):
        end(service, submit("predict", run="r"), result={"summary": "done", "mistakes": field})
        looked(panel, dataset, state)
        drawn = types.Object()
        panel.draw_jobs(context(dataset, state), drawn)
        (box,) = (one.type for one in drawn.properties.values() if one.type.properties)
        buttons = box.properties["buttons"].type.properties
        assert ("mistakes" in buttons) == (field is not None)
    button = buttons["mistakes"].view
    assert (button.label, button.params) == ("Show mistakes", {"field": "found"})
    ctx = context(dataset, state, field="found")
    panel.on_mistakes(ctx)
    (view,) = requests(ctx, "set_view")
    wrong = [
        (label, found) for label, found in PAIRS if None not in (label, found) and label != found
    ]
    shown = fo.DatasetView._build(dataset, view["view"])
    pairs = zip(*shown.values(["own.label", "found.label"]), strict=True)
    assert list(pairs) == wrong[::-1]  # the later, the more confident
    assert requests(ctx, "set_active_fields") == [{"fields": ["own", "found", "cam"]}]
    ctx = context(dataset, state, field="gone")
    panel.on_mistakes(ctx)
    (said,) = requests(ctx, "notify")
    assert said["message"] == "The field 'gone' was deleted. Predict again"
    assert requests(ctx, "set_view") == []


def test_the_curves_of_a_training_that_goes_on_are_drawn(panel, dataset, service, submit):
    before, other = submit("find_leaks"), submit("find_leaks")
    end(service, before)
    job = submit("fine_tune", key="k")
    live = LiveTraining(dataset, "k", 10)
    row = {"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.5, "learning_rate": 0.1}
    state = {}
    looked(panel, dataset, state)
    assert state["training"] is None
    live.store.set("k", {"history": [row], "validations": [], "running": None, "epochs": 10})
    ctx = context(dataset, state)
    panel.read_jobs(ctx)
    traces, layout = state["training"]
    assert layout["xaxis"]["range"][1] == pytest.approx(10.2)
    assert [0.5] in [trace["y"] for trace in traces]
    # Directly below their own job, whatever has ended before or goes on too.
    shown = types.Object()
    panel.draw_jobs(context(dataset, state), shown)
    parts = list(shown.to_json()["properties"])
    assert parts[:4] == [f"job_{other.id}", f"job_{job.id}", "curves", f"job_{before.id}"]
    # They stay until another job has ended, and takes the place of the training.
    end(service, job, CANCELLED_AND_ENDED)
    looked(panel, dataset, state)
    assert state["training"] is not None
    end(service, submit("find_leaks"))
    looked(panel, dataset, state)
    assert [row["id"] for row in state["earlier"]] == [job.id, before.id]
    assert state["training"] is None
    live.forget()


@pytest.mark.parametrize(
    ("stored", "word"),
    [("completed", "completed"), ("cancelled", "canceled"), ("cancelling", "canceling")],
)
def test_rows_of_earlier_jobs_say_the_day_if_it_was_another(stored, word):
    job = Job(
        *("1", "split", "Split", stored, 1.0, "m", 2.0, None, datetime(2024, 5, 6, 7, 8)),
        *({}, True, {}, None),
    )
    words = f"Split · {word} · 06 May 07:08 UTC"
    assert _row(job) == {"id": "1", "job": words, "message": "m", "file": None}
    assert str(job) == f"job 'Split': {word}, 100%, m"
