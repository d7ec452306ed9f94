"""The panel without a browser: what it reads, and what its buttons do, on real contexts."""

import os
from datetime import datetime
from types import SimpleNamespace

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, ExecutionProgress, ExecutionResult

from fiftyone_gradcam.app.operators.verb import filled_in
from fiftyone_gradcam.app.panels.classifier import ClassifierPanel
from fiftyone_gradcam.app.panels.jobs import _row
from fiftyone_gradcam.dataset.basis import all_labels
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.live import LiveTraining
from fiftyone_gradcam.dataset.run import Run
from fiftyone_gradcam.dataset.runs import save_run
from fiftyone_gradcam.jobs import queue
from fiftyone_gradcam.jobs.job import CANCELLED_AND_ENDED, LOST, load_job
from fiftyone_gradcam.jobs.processes import name_of

# "d" is only predicted, so that rows and columns of the matrix are not the same classes.
PAIRS = [
    *(("a", "a"), ("a", "b"), ("a", "b"), ("b", "b"), ("b", "a"), ("c", "a"), ("c", "d")),
    *((None, "a"), ("b", None)),
]


@pytest.fixture
def dataset(name):
    dataset = fo.Dataset(name)
    samples = [fo.Sample(filepath=f"/{number}.png") for number in range(len(PAIRS))]
    for number, (sample, (label, predicted)) in enumerate(zip(samples, PAIRS, strict=True)):
        sample["own"] = label and fo.Classification(label=label)
        confidence = 0.5 + number / 20
        sample["found"] = predicted and fo.Classification(label=predicted, confidence=confidence)
        sample["other"] = fo.Classification(label="a", confidence=0.5)
    samples[1].tags = ["test"]
    samples[3].tags = ["test"]
    dataset.add_samples(samples)
    for field in ("cam_of_other", "cam"):
        dataset.add_sample_field(field, fo.EmbeddedDocumentField, embedded_doc_type=fo.Heatmap)
    for field, run in (("found", "r"), ("cam", "r"), ("other", "o"), ("cam_of_other", "o")):
        describe_field(dataset, field, f"Of {run}", run=run, label_field="own")
    return dataset


@pytest.fixture
def panel():
    return ClassifierPanel()


def context(dataset, state: dict, **params) -> ExecutionContext:
    """What FiftyOne calls a panel with; the state is changed in place."""
    return ExecutionContext(
        request_params={
            "dataset_name": dataset.name,
            "params": {"panel_id": "p", "panel_state": state, **params},
        },
        executor=foo.executor.Executor(),
    )


def requests(ctx, name: str) -> list[dict]:
    """Parameters of what the App was asked for."""
    return [
        request["params"]
        for request in ctx.executor.to_json()["requests"]
        if request["operator_uri"].rpartition("/")[2] == name
    ]


def evaluated(panel, dataset, **chosen) -> dict:
    """The state of the panel once it has read."""
    state = {"prediction_field": "found", "part": "all", **chosen}
    panel.read_evaluation(context(dataset, state))
    return state


def shown_by_click(panel, dataset, state: dict, x: float, y: float) -> tuple:
    ctx = context(dataset, state, x=x, y=y)
    panel.on_cell(ctx)
    (view,) = requests(ctx, "set_view")
    (active,) = requests(ctx, "set_active_fields")
    return fo.DatasetView._build(dataset, view["view"]).values("filepath"), active["fields"]


def test_a_click_on_a_cell_off_the_diagonal_shows_its_samples_and_its_runs_heatmap(panel, dataset):
    state = evaluated(panel, dataset)
    assert (state["labels"], state["predictions"]) == (["a", "b", "c"], ["a", "b", "c", "d"])
    fields = ["own", "found", "cam"]  # and not the heatmaps of the other run
    # x counts predictions, y labels; a plot may send numbers that are not whole.
    for x, y, expected in (
        (1.0, 0.0, ["/2.png", "/1.png"]),  # the more confident first
        (0.0, 1.0, ["/4.png"]),
        (3.2, 1.8, ["/6.png"]),
        (0.0, 0.0, ["/0.png"]),
        (2.0, 0.0, []),
    ):
        assert shown_by_click(panel, dataset, state, x, y) == (expected, fields)
    state = evaluated(panel, dataset, part="test")
    assert state["labels"] == ["a", "b"]
    x, y = state["predictions"].index("b"), state["labels"].index("a")
    assert shown_by_click(panel, dataset, state, x, y)[0] == ["/1.png"]
    ctx = context(dataset, state)
    panel.on_show_all(ctx)
    assert len(requests(ctx, "clear_view")) == 1


def test_the_classes_are_listed_with_the_worst_recall_first(panel, dataset):
    state = evaluated(panel, dataset)
    assert [(r["name"], r["labelled"], r["right"], r["recall"], r["precision"])
            for r in state["class_rows"]] == [
        ("c", "2", "0", "0.0%", "–"),
        ("a", "3", "1", "33.3%", "33.3%"),
        ("b", "2", "1", "50.0%", "33.3%"),
    ]  # fmt: skip
    assert state["class_title"] == "Classes, worst recall first"
    assert state["evaluation_words"].startswith("**Accuracy 28.6%** (95% interval 8.2% to 64.1%)")
    assert "2 of 7 samples" in state["evaluation_words"]
    assert state["prediction_fields"] == ["found", "other"]
    assert state["parts"] == ["test", "all"]
    assert evaluated(panel, dataset, part="gone")["part"] == "test"
    assert evaluated(panel, dataset, prediction_field="gone")["prediction_field"] == "found"
    none = evaluated(panel, dataset.clone(), prediction_field="other", part="test")
    assert "1 of 2 samples" in none["evaluation_words"]


def test_buttons_of_runs_are_about_the_one_that_is_shown_or_the_newest(panel, dataset):
    for key in ("o", "p", "q"):
        recipe = {"backbone": "small_cnn", "epochs": 1}
        run = Run(key, dataset.name, ["a", "b"], recipe, [], 1, "own", "/none")
        save_run(dataset, run)
    # What a trained run has predicted is looked at first.
    assert evaluated(panel, dataset, prediction_field="gone")["prediction_field"] == "other"

    def asked(button, shown: str | None, name: str) -> dict:
        ctx = context(dataset, {"shown_run": shown})
        button(ctx)
        (found,) = requests(ctx, name)
        return found

    for shown, run in ((None, "q"), ("o", "o"), ("gone", "q")):
        assert asked(panel.on_retrain, shown, "retrain") == {"run": run}
    for shown, other in (("q", "p"), ("o", "q")):
        found = asked(panel.on_compare_runs, shown, "prompt_user_for_operation")
        assert found["operator_uri"].endswith("/compare_runs")
        assert found["params"] == {"a": other, "b": shown}


@pytest.fixture
def service():
    return DelegatedOperationService()


@pytest.fixture
def submit(dataset, monkeypatch):
    """Queue jobs that nobody does: this process stands for their workers."""
    own = name_of(os.getpid())
    monkeypatch.setattr(queue.processes, "start_worker", lambda *args: own)
    made = []

    def submit(verb: str, **given):
        made.append(queue.submit(verb, {"samples": dataset, **given}, dataset))
        return made[-1]

    yield submit
    for job in made:
        queue.DelegatedOperationService().delete_operation(ObjectId(job.id))


def end(service, job, error: str | None = None, result: dict | None = None) -> None:
    if error is None:
        service.set_completed(ObjectId(job.id), result=ExecutionResult(result=result or {}))
    else:
        service.set_failed(ObjectId(job.id), result=ExecutionResult(error=error))


def looked(panel, dataset, state: dict) -> list:
    """What has ended since the last look."""
    return panel.read_jobs(context(dataset, state))


def test_what_the_jobs_tab_reads(panel, dataset, service, submit):
    first, second = submit("split", fractions={"train": 1.0}), submit("predict", run="r")
    state = {}
    assert looked(panel, dataset, state) == []
    assert state["going"] == [second.id, first.id]
    assert state["is_busy"]
    cards = state["cards"]
    assert [card["id"] for card in cards] == [first.id, second.id]  # the one begun first, first
    assert cards[1]["message"] == f"Waits for: {first.label}"
    assert cards[0]["message"] != cards[1]["message"]
    assert [card["again"] for card in cards] == [None, None]
    service.set_running(ObjectId(first.id), run_link=name_of(os.getpid()))
    service.set_progress(ObjectId(first.id), ExecutionProgress(progress=0.25, label="on its way"))
    looked(panel, dataset, state)
    assert state["cards"][0]["words"] == f"**{first.label}** · running · 25%"
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
    # One that was begun here may have ended before it was ever seen going.
    assert [job.id for job in looked(panel, dataset, {"own": first.id})] == [first.id]
    assert looked(panel, dataset, {}) == []


@pytest.mark.parametrize(
    ("verb", "error", "again"),
    [
        ("predict", LOST, "Resume"),
        ("find_label_issues", CANCELLED_AND_ENDED, "Resume"),  # what it has computed is kept
        ("predict", CANCELLED_AND_ENDED, "Resume"),
        ("fine_tune", LOST, "Run again"),  # it has left no state
        ("find_leaks", "ValueError: wrong", "Run again"),
        ("find_leaks", None, None),
    ],
)
def test_a_job_that_came_to_nothing_can_be_called_again(
    panel, dataset, service, submit, verb, error, again
):
    given = {"run": "r"} if verb == "predict" else {"key": "k"} if verb == "fine_tune" else {}
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
    states = [{"tab": "jobs", "own": job.id, "going": [job.id], "loaded_page": 1.5}] * 2
    end(service, job, result={"summary": "done", "fields": ["found"]})
    contexts = [context(dataset, dict(state)) for state in states]
    for ctx in contexts:
        panel.on_tick(ctx)
    assert [len(requests(ctx, "notify")) for ctx in contexts] == [1, 0]
    assert [len(requests(ctx, "set_active_fields")) for ctx in contexts] == [1, 0]
    other_page = context(dataset, states[0] | {"loaded_page": 2.5})
    panel.on_tick(other_page)
    assert len(requests(other_page, "notify")) == 1


def test_the_next_step_is_started_by_its_button(panel, dataset, submit):
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    label = state["next"][0]["label"]
    assert label == "Find wrong labels"
    panel.on_next(context(dataset, state, label=label))
    (job,) = queue.list_jobs(dataset)
    assert (job.verb, job.given["label_field"]) == ("find_label_issues", "own")
    assert job.given["samples"]["__view__"]["stages"] is None  # the whole dataset
    assert (state["own"], job.form) == (job.id, {"label_field": "own"})
    assert [card["state"] for card in state["cards"]] == ["queued"]  # and so with Cancel
    DelegatedOperationService().delete_operation(ObjectId(job.id))
    # A button of what was next a while ago does nothing but look again.
    ctx = context(dataset, state, label="Retrain with 3 corrected labels")
    panel.on_next(ctx)
    assert queue.list_jobs(dataset) == []


def test_once_found_label_issues_are_reviewed(panel, dataset, service, submit):
    job = submit("find_label_issues")
    state = {"tab": "jobs", "own": job.id, "going": [job.id]}
    end(service, job, result={"summary": "About 1 label is wrong"})
    panel.on_tick(context(dataset, state))
    assert state["tab"] == "jobs"  # until the App has the view of what was found
    panel.on_tick(context(dataset, state))
    assert (state["tab"], state["turns_to"]) == ("review", None)


def test_an_event_is_one_message_and_one_that_says_nothing_new_is_none(panel, dataset):
    state = {"tab": "jobs", "strip": 0}
    ctx = context(dataset, state, __method__="on_tab", value="evaluate")
    panel.execute(ctx)
    (message,) = requests(ctx, "patch_panel_state")
    assert message["state"]["tab"] == "evaluate"
    assert message["state"]["prediction_fields"] == state["prediction_fields"]
    assert len(requests(ctx, "show_panel_output")) == 1
    assert state["part"] == "test"
    for method, value in (("on_tab", "evaluate"), ("on_part", "test"), ("on_order", "recall")):
        ctx = context(dataset, state, __method__=method, value=value)
        panel.execute(ctx)
        assert ctx.executor.to_json()["requests"] == []
    ctx = context(dataset, state, __method__="on_order", value="name")
    panel.execute(ctx)
    assert state["order"] == "name"
    assert len(requests(ctx, "patch_panel_state")) == 1


def test_stale_label_scores_are_said_and_refreshed(panel, dataset):
    dataset.add_sample_field("found_scores", fo.ListField, subfield=fo.FloatField)
    describe_field(
        dataset, "found", "Of r", run="r", label_field="own", classes=["a", "b", "c", "d"]
    )
    scores = [[0.1, 0.2, 0.3, 0.4]] * len(PAIRS)
    dataset.set_values("found_scores", scores)
    own = [{"a": 0.1, "b": 0.2, "c": 0.3}.get(label) if found else None for label, found in PAIRS]
    dataset.set_values("found.label_score", own, dynamic=True)
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    panel.read_stale(context(dataset, state))
    assert state["stale"] == []
    sample = dataset[dataset.values("id")[0]]
    sample["own"].label = "c"
    sample.save()
    panel.on_tick(context(dataset, state))  # which sees that something has changed
    assert state["stale_due"]
    panel.on_tick(context(dataset, state))
    words = "Label scores 'found': 1 label has changed since"
    one = {"kind": "label scores", "name": "found", "words": words, "can": True}
    assert state["stale"] == [one]
    panel.on_refresh_stale(context(dataset, state, kind="label scores", name="found"))
    assert dataset.values("found.label_score") == [0.3, *own[1:]]
    panel.read_stale(context(dataset, state))
    assert state["stale"] == []


def test_a_comparison_of_earlier_labels_says_so(panel, dataset, service, submit):
    job, state = submit("compare_runs", a="r", b="o"), {"tab": "jobs"}
    end(service, job, result={"summary": "same", "rests_on": all_labels(dataset)})
    panel.read(context(dataset, state))
    panel.read_stale(context(dataset, state))
    assert state["old_jobs"] == []
    sample = dataset[dataset.values("id")[0]]
    sample["own"].label = "c"
    sample.save()
    panel.read_stale(context(dataset, state))
    assert state["old_jobs"] == [job.id]


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
    state = {"tab": "jobs", "own": mine.id, "going": [mine.id, other.id]}
    for job in (mine, other):
        end(service, job, result={"summary": "done", "fields": ["found", "cam"]})
    ctx = context(dataset, state)
    panel.on_tick(ctx)
    told = [request["message"] for request in requests(ctx, "notify")]
    assert sorted(told) == sorted(
        f"{job.label}: {load_job(job.id).message}" for job in (mine, other)
    )
    assert [r["fields"] for r in requests(ctx, "set_active_fields")] == [["found", "cam"]]
    assert len(requests(ctx, "reload_dataset")) == 2
    assert state["own"] is None
    # A job that failed has no outcome, and leaves the dataset as it is.
    failed = submit("predict", run="r")
    end(service, failed, "ValueError: wrong")
    state |= {"own": failed.id, "going": [failed.id]}
    ctx = context(dataset, state)
    panel.on_tick(ctx)
    assert [request["variant"] for request in requests(ctx, "notify")] == ["error"]
    assert requests(ctx, "set_active_fields") == requests(ctx, "reload_dataset") == []


def test_another_dataset_begins_with_nothing_chosen(panel, dataset):
    state = {
        "tab": "evaluate", "shown_run": "x", "own": "1", "prediction_field": "other",
        "part": "test", "colored": ["cam"],
    }  # fmt: skip
    panel.on_change_dataset(context(dataset, state))
    assert (state["prediction_field"], state["part"]) == ("found", "test")
    assert (state["shown_run"], state["own"], state["colored"]) == (None, None, None)
    assert state["tab"] == "evaluate"


def test_the_curves_of_a_training_that_goes_on_are_drawn(panel, dataset, service, submit):
    submit("fine_tune", key="k")
    live = LiveTraining(dataset, "k", 10)
    row = {"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.5, "learning_rate": 0.1}
    state = {}
    looked(panel, dataset, state)
    assert state["training"] is None
    live.store.set("k", {"history": [row], "validations": [], "running": None, "epochs": 10})
    ctx = context(dataset, state)
    panel.read_jobs(ctx)
    assert state["training"]["xaxis"]["range"][1] == pytest.approx(10.2)
    name = state["plot_names"]["curves"]
    (data,) = [r for r in requests(ctx, "patch_panel_data") if name in str(r)]
    assert "'y': [0.5]" in str(data)
    live.forget()


def test_rows_of_earlier_jobs_say_the_day_if_it_was_another():
    job = SimpleNamespace(id="1", verb="split", label="Split", state="completed", message="m",
                          began=datetime(2024, 5, 6, 7, 8))  # fmt: skip
    words = "Split · completed · 06 May 07:08 UTC"
    assert _row(job) == {"id": "1", "job": words, "message": "m"}
