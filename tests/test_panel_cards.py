"""The cards of jobs: their words, notices and buttons, by state and outcome."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fiftyone.operators import types
from made_runs import FINDINGS, HISTORY, VALIDATIONS
from panel_contexts import context, end, looked, make_dataset
from panel_steps import buttons

from fiftyone_gradcam.app.panels.jobs import OLD, _row
from fiftyone_gradcam.dataset.live import LiveTraining
from fiftyone_gradcam.dataset.run import Run
from fiftyone_gradcam.dataset.runs import save_run
from fiftyone_gradcam.jobs.job import Job

NOW = datetime.now(UTC).replace(tzinfo=None)
JOB = Job("1", "split", "Split", "running", 0.5, "half", 30.0, None, NOW, {}, True, {}, None)
FORGET = "Hide this job (images, labels and results stay)"
COMPARISON = {
    "headline": "A is better", "verdict": "By chance", "notes": [], "runs": ["r", "o"],
    "rows": [{"result": "fixed", "name": "fixed", "count": "2", "share": "10%"}],
}  # fmt: skip


@pytest.fixture
def dataset(name):
    return make_dataset(name)


def drawn(panel, dataset, job: Job, state: dict | None = None) -> tuple[dict, dict, list[str]]:
    """The card of a job, what is drawn of it by name, and its buttons."""
    state = {} if state is None else state
    ctx, shown = context(dataset, state), types.Object()
    card = panel._card(ctx, job)
    state |= {"cards": [card]}
    panel.draw_jobs(context(dataset, state), shown)
    parts = shown.to_json()["properties"]
    box = parts.pop(f"job_{job.id}")["type"]["properties"]
    return card, box | parts, [x["label"] for x in buttons(box)]


def test_a_card_says_how_long_a_job_takes_or_took(panel, dataset):
    for changes, words, left in (
        ({}, "running", None),
        ({"seconds_left": 200.0}, "running · about 3 min left", "3 min"),
        ({"seconds_left": 0.0}, "running · about 1 s left", "1 s"),
        ({"state": "completed", "seconds": 200.0}, "completed after 3 min", None),
        ({"state": "completed", "seconds": None}, "completed", None),
        ({"state": "cancelled", "seconds": None}, "canceled", None),
    ):
        card, box, _ = drawn(panel, dataset, replace(JOB, **changes))
        assert card["words"] == box["words"]["default"] == f"**Split** · {words}"
        assert card["left"] == left


def test_a_card_shows_how_far_a_job_is_and_what_it_says(panel, dataset):
    for state, own in (("running", ["Cancel"]), ("cancelling", [])):
        _, box, labels = drawn(panel, dataset, replace(JOB, state=state))
        assert (box["progress"]["default"], box["progress"]["view"]["label"]) == (0.5, "half")
        assert (labels, "message" in box) == (own, False)
    _, box, labels = drawn(panel, dataset, replace(JOB, state="queued"))
    assert (box["message"]["default"], labels, "progress" in box) == ("half", ["Cancel"], False)
    _, box, labels = drawn(panel, dataset, replace(JOB, state="completed", message="a*"))
    assert (box["message"]["default"], labels) == ("a\\*", [FORGET])
    _, box, _ = drawn(panel, dataset, replace(JOB, state="completed", message=""))
    assert list(box) == ["words", "buttons"]


def test_an_error_is_shown_and_what_a_lost_job_has_printed(panel, dataset):
    for state, log, says in (
        ("lost", "/a_", "/a\\_"),
        ("lost", None, None),
        ("failed", "/a", None),
    ):
        _, box, labels = drawn(panel, dataset, replace(JOB, state=state, message="a*", log=log))
        assert (box["error"]["view"]["name"], box["error"]["view"]["label"]) == ("Error", "a\\*")
        found = box.get("log", {}).get("default")
        assert found == (says and f"What it printed is in {says}")
        assert labels == ["Run again", FORGET]


def test_a_job_is_called_again_or_changed_if_it_can_be(panel, dataset):
    again, change = "Run again", "Change and run again"
    for changes, labels, key in (
        ({"state": "failed"}, [again], None),
        ({"state": "failed", "form": {}}, [change, again], None),
        ({"state": "cancelled", "form": {"a": 1}, "given": {"key": "k"}}, [change, again], "k"),
        ({"state": "lost", "given": {"run": "r"}}, [again], "r"),
        ({"state": "failed", "form": {}, "can_repeat": False}, [], None),
        ({"state": "completed", "form": {}}, [], None),
    ):
        card, _, own = drawn(panel, dataset, replace(JOB, **changes))
        assert (own, card.get("key")) == ([*labels, FORGET], key)
    # The next step above resumes the same job.
    job = replace(JOB, state="failed", verb="predict", given={"run": "r"})
    next_one = {"how": "resume", "verb": "predict", "given": {"run": "r"}}
    far = [{"how": "form", "verb": "predict", "given": {}}] * 3
    for state, labels in (
        ({"next": [next_one]}, []),
        ({"next": [next_one], "is_busy": True}, ["Resume"]),
        ({"next": [next_one | {"given": {"run": "o"}}]}, ["Resume"]),
        ({"next": [next_one | {"how": "start"}]}, ["Resume"]),
        ({"next": [next_one | {"verb": "retrain"}]}, ["Resume"]),
        ({"next": [*far, next_one]}, ["Resume"]),  # which is not drawn
        ({"next": None}, ["Resume"]),
    ):
        assert drawn(panel, dataset, job, state)[2] == [*labels, FORGET], state


def test_a_card_says_what_is_no_longer_so(panel, dataset):
    job = replace(JOB, state="completed", verb="evaluate")
    _, box, labels = drawn(panel, dataset, job, {"remarks": {"1": "Once."}, "old_jobs": ["1"]})
    assert box["remark"]["default"] == "*Once.*"
    assert box["old"]["view"]["label"] == f"{OLD}; 'Run again' uses the current ones"
    assert labels == ["Run again", FORGET]
    job = replace(job, verb="report")
    _, box, labels = drawn(panel, dataset, job, {"remarks": {"2": "Once."}, "old_jobs": ["1"]})
    assert ("remark" in box, box["old"]["view"]["label"], labels) == (False, OLD, [FORGET])
    _, box, _ = drawn(panel, dataset, job, {"old_jobs": ["2"]})
    assert "old" not in box


def test_a_comparison_is_on_its_card_with_runs_that_are_gone(panel, dataset):
    job = replace(JOB, state="completed", outcome={"comparison": COMPARISON})
    recipe = {"backbone": "small_cnn", "epochs": 1}
    for keys, words in ((("r", "o"), None), (("o",), "'r'"), ((), "'r' and 'o'")):
        for key in dataset.list_runs():
            dataset.delete_run(key)
        for key in keys:
            save_run(dataset, Run(key, dataset.name, ["a", "b"], recipe, [], 1, "own", "/none"))
        card, box, labels = drawn(panel, dataset, job)
        assert "runs" not in card["compared"]
        assert labels == ["Show all images", FORGET]
        said = box["gone"]["view"]["label"] if "gone" in box else None
        assert said == (words and f"{words}: renamed or deleted since")
        assert "message" not in box


def test_the_last_comparison_stays_beside_what_has_ended_last(panel, dataset, service, submit):
    jobs = [submit("compare_runs", a="r", b="o"), submit("find_leaks"), submit("split")]
    end(service, jobs[0], result={"summary": "same", "comparison": COMPARISON})
    end(service, jobs[1])
    state: dict = {}
    looked(panel, dataset, state)
    assert [card["id"] for card in state["cards"]] == [jobs[2].id, jobs[1].id, jobs[0].id]
    assert (state["earlier"], state["is_busy"], state["going"]) == ([], True, [jobs[2].id])
    assert state["cards"][0]["message"] != f"Waits for: {jobs[2].label}"  # for none but itself


def test_a_training_that_has_ended_shows_its_run(panel, dataset, service, submit):
    """One that goes on is not that run yet: it may train it again."""
    job = submit("fine_tune", key="k")
    recipe = {"backbone": "small_cnn", "epochs": 3}
    run = Run("k", dataset.name, ["a", "b"], recipe, HISTORY, 2, "own", "/none")
    save_run(dataset, replace(run, validations=VALIDATIONS, findings=FINDINGS))
    state: dict = {}

    def read() -> tuple:
        looked(panel, dataset, state)
        return state["training"], state["findings"], state["trained_job"]

    assert read() == (None, None, None)
    live = LiveTraining(dataset, "k", 10)
    live.store.set("k", {"history": [], "validations": [], "running": None, "epochs": 10})
    assert read() == (None, None, None)
    running = {"epoch": 0.5, "train_loss": 0.4, "train_accuracy": 0.9}
    live.store.set("k", {"history": [], "validations": [], "running": running, "epochs": 10})
    (traces, layout), findings, whose = read()
    assert (traces[0]["x"], findings, whose) == ([0.5], [], job.id)
    assert "shapes" not in layout
    live.forget()
    end(service, job)
    (traces, layout), findings, whose = read()
    assert (layout["shapes"][0]["x0"], findings, whose) == (2, FINDINGS, job.id)
    state["findings"] = [{"severity": x, "message": f"{x}*"} for x in ("error", "warning", "info")]
    shown = types.Object()
    panel.draw_jobs(context(dataset, state), shown)
    parts = shown.to_json()["properties"]
    assert list(parts)[1:] == ["curves", "finding_0", "finding_1", "finding_2"]
    views = [parts[f"finding_{number}"]["view"] for number in range(3)]
    assert [view["name"] for view in views] == ["Error", "Warning", "Notice"]
    assert views[0]["label"] == "error\\*"
    dataset.delete_run("k")
    assert read() == (None, None, None)


def test_the_picture_of_a_job_is_below_its_card(panel, dataset, tmp_path):
    there, gone = tmp_path / "a.png", str(tmp_path / "gone.png")
    there.touch()
    jobs = [
        replace(JOB, id=str(n), outcome={"picture": x}) for n, x in enumerate((gone, str(there)))
    ]
    state: dict = {}
    for shown, found in (
        (jobs, ("1", str(there))),
        (jobs[:1], (None, None)),
        ([JOB], (None, None)),
    ):
        panel._read_picture(context(dataset, state), shown)
        assert (state["pictured_job"], state["picture_path"]) == found
    state |= {"pictured_job": "1", "picture_path": str(there)}
    _, parts, _ = drawn(panel, dataset, jobs[1], state)
    assert parts["picture"]["default"].startswith("/media?filepath=")
    assert parts["picture_words"]["default"].startswith("The picture is at ")
    for changes in ({"pictured_job": "2"}, {"picture_path": None}):
        assert "picture" not in drawn(panel, dataset, jobs[1], state | changes)[1]


def test_rows_of_earlier_jobs_say_the_day_if_it_is_a_day_ago(tmp_path):
    out = tmp_path / "x.html"
    out.touch()
    for age, day in ((timedelta(hours=23), False), (timedelta(hours=25), True)):
        began = NOW - age
        row = _row(replace(JOB, began=began, outcome={"place": str(out)}))
        when = f"{began:%d %b %H:%M}" if day else f"{began:%H:%M}"
        assert (row["job"], row["file"]) == (f"Split · running · {when} UTC", str(out))
    for place in (str(tmp_path), 3, None):  # a folder is not opened in a browser
        assert _row(replace(JOB, outcome={"place": place}))["file"] is None
