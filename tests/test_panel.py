"""The panel without a browser: what it reads, and what its buttons do, on real contexts."""

import json
import shutil
from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId
from fiftyone.operators.delegated import DelegatedOperationService
from panel_contexts import PAIRS, context, end, make_dataset, requests

from fiftyone_gradcam.app.panels import heatmaps, path
from fiftyone_gradcam.app.panels.actions import LABELS
from fiftyone_gradcam.app.panels.tables import breakable
from fiftyone_gradcam.dataset.basis import all_labels
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.files import run_folder
from fiftyone_gradcam.dataset.run import Run
from fiftyone_gradcam.dataset.run_files import STATE
from fiftyone_gradcam.dataset.runs import save_run
from fiftyone_gradcam.jobs import queue
from fiftyone_gradcam.jobs.job import CANCELLED_AND_ENDED, LOST


@pytest.fixture
def dataset(name):
    return make_dataset(name)


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
    made = "Predicted by 'r'. Compared with the current labels in 'own'."
    assert state["evaluation_words"].endswith(f"\n\n{made}")
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
        found = asked(panel.on_retrain, shown, "prompt_user_for_operation")
        assert found["operator_uri"].endswith("/retrain")  # it asks before it trains
        assert found["params"] == {"run": run}
    for shown, other in (("q", "p"), ("o", "q")):
        found = asked(panel.on_compare_runs, shown, "prompt_user_for_operation")
        assert found["operator_uri"].endswith("/compare_runs")
        assert found["params"] == {"a": other, "b": shown}


def test_names_in_tables_break_between_their_parts_alone():
    space = "\u200b"  # without width
    for name, shown in (
        ("first_corrected", "first_corrected"),  # as wide as a column is at least
        ("mobilenet_v2_corrected", f"mobilenet_{space}v2_{space}corrected"),
        ("a run.of-many_parts_ and b_c", f"a run.{space}of-{space}many_{space}parts_ and b_c"),
        ("abcdefghijklmnopqrst", "abcdefghijklmnopqrst"),
    ):
        assert breakable(name) == shown


def buttons_of(drawn) -> dict:
    """All buttons of a panel by label."""
    found = {}
    for part in drawn.properties.values():
        if hasattr(part.view, "operator"):
            found[part.view.label] = part.view
        if hasattr(part.type, "properties"):
            found |= buttons_of(part.type)
    return found


def test_every_button_asks_for_what_it_says(panel, dataset):
    for key in ("o", "p", "q"):
        recipe = {"backbone": "small_cnn", "epochs": 1}
        save_run(dataset, Run(key, dataset.name, ["a", "b"], recipe, [], 1, "own", "/none"))
    of_runs = {
        "Train another classifier": ("fine_tune", None), "Import run": ("import_run", None),
        "Predict with it": ("predict", {"run": "p"}), "Evaluate": ("evaluate", {"run": "p"}),
        "Retrain on corrected labels": ("retrain", {"run": "p"}),
        "Compare runs": ("compare_runs", {"a": "q", "b": "p"}),
        "Train as this run": ("fine_tune", {"recipe": "run p"}),
        "Rename": ("rename_run", {"key": "p"}), "Export": ("export_run", {"run": "p"}),
        "Delete": ("delete_run", {"key": "p"}),
    }  # fmt: skip
    of_a_review = {
        "Find label issues": ("find_label_issues", None),
        "Accept all sure suggestions": ("accept_sure", None),
        "Retrain on corrected labels": ("retrain", {"run": "p"}),
        "Export reviews": ("export_reviews", None),
    }
    chosen = {"prediction_field": "other"}
    of_an_evaluation = {"Show all": ("clear_view", None), "Save views": ("save_views", chosen)}
    of_all = {label: (verb, None) for verb, label in LABELS.items()}
    tabs = {"runs": of_runs, "review": of_a_review, "evaluate": of_an_evaluation, "jobs": of_all}
    for tab, asked in tabs.items():
        state = {"tab": tab, "shown_run": "p", "shows_actions": True}
        panel.read(context(dataset, state))
        drawn = buttons_of(panel.render(context(dataset, state)).type)
        for label, (verb, given) in asked.items():
            button = drawn[label]
            ctx = context(dataset, state, **(button.params or {}))
            button.operator(ctx)
            (message,) = ctx.executor.to_json()["requests"]
            params = message["params"] or {}
            uri = params.get("operator_uri", message["operator_uri"])
            shown = params.get("params") if "operator_uri" in params else params
            assert (label, uri.rpartition("/")[2], shown or None) == (label, verb, given)


def test_the_next_step_is_started_by_its_button(panel, dataset, submit):
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    label = state["next"][0]["label"]
    assert label == "Find label issues"
    panel.on_next(context(dataset, state, label=label))
    (job,) = queue.list_jobs(dataset)
    assert (job.verb, job.given["label_field"]) == ("find_label_issues", "own")
    assert job.given["samples"]["__view__"]["stages"] is None  # the whole dataset
    assert (state["own"], job.form) == (job.id, {"label_field": "own"})
    assert [card["state"] for card in state["cards"]] == ["queued"]  # and so with Cancel
    panel.on_next(context(dataset, state, label=label))  # the second click of a double one
    assert [one.id for one in queue.list_jobs(dataset)] == [job.id]
    DelegatedOperationService().delete_operation(ObjectId(job.id))
    # A button of what was next a while ago does nothing but look again.
    ctx = context(dataset, state, label="Retrain with 3 corrected labels")
    panel.on_next(ctx)
    assert queue.list_jobs(dataset) == []


@pytest.mark.parametrize("state", [LOST, CANCELLED_AND_ENDED, "ValueError: wrong"])
def test_a_training_that_did_not_end_is_resumed_on_its_own_samples(
    panel, dataset, service, submit, state
):
    job = queue.submit("fine_tune", {"samples": dataset.match_tags("test"), "key": "k"}, dataset)
    service.set_running(ObjectId(job.id), run_link="elsewhere 1 1.0")
    panel_state = {"tab": "jobs"}

    def offered() -> list[str]:
        panel.read(context(dataset, panel_state))
        return [one["label"] for one in panel_state["next"]]

    assert offered()[0] == "Find label issues"  # it has left no state, or still runs
    folder = Path(run_folder(dataset, "k"))
    folder.mkdir(parents=True)
    (folder / STATE).touch()
    end(service, job, state)
    assert offered()[0] == "Resume training 'k'"
    panel.on_next(context(dataset, panel_state, label="Resume training 'k'"))
    (again,) = queue.list_jobs(dataset)
    assert again.id == panel_state["own"] != job.id
    assert (again.given["key"], again.given["resume"]) == ("k", True)
    assert queue.given_samples(again.id) == dataset.match_tags("test")
    # Once it is recorded, there is nothing to resume.
    end(service, again, state)
    recipe = {"backbone": "small_cnn", "epochs": 1}
    run = Run("k", dataset.name, ["a", "b"], recipe, [], 1, "own", "/none", canceled=False)
    save_run(dataset, run)
    assert offered()[0] == "Predict with 'k'"
    DelegatedOperationService().delete_operation(ObjectId(again.id))
    shutil.rmtree(folder)


def test_once_found_label_issues_are_reviewed(panel, dataset, service, submit):
    job = submit("find_label_issues")
    state = {"tab": "jobs", "own": job.id, "going": [job.id]}
    end(service, job, result={"summary": "About 1 label is wrong"})
    panel.on_tick(context(dataset, state))
    assert state["tab"] == "jobs"  # until the App has the view of what was found
    assert state["is_busy"]  # so that the next tick is soon
    panel.on_tick(context(dataset, state))
    assert (state["tab"], state["turns_to"]) == ("review", None)


def test_an_event_is_one_message_and_one_that_says_nothing_new_is_none(panel, dataset):
    state = {"tab": "jobs", "strip": 0}
    ctx = context(dataset, state, __method__="on_tab", value="evaluate")
    panel.execute(ctx)
    (message,) = requests(ctx, "patch_panel_state")
    assert message["state"]["tab"] == "evaluate"
    assert "prediction_fields" in state
    assert "prediction_fields" not in message["state"]  # it is only drawn
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


def test_heatmaps_of_another_process_are_offered_and_colored_at_the_next_tick(
    panel, dataset, monkeypatch
):
    colored, state = [], {"tab": "jobs", "loaded": 1.0}

    def lacking(ctx, known: list[str]) -> list[str]:
        """Those that the panel has read, as the App does not know them before."""
        there = [path for one in state["heatmaps"] for path in one["paths"]]
        return [path for path in there if path.startswith("new") and path not in known]

    monkeypatch.setattr(heatmaps, "lacking_colors", lacking)
    monkeypatch.setattr(heatmaps, "color_heatmaps", lambda ctx, fields: colored.extend(fields))

    def ticked() -> list[str]:
        panel.on_tick(context(dataset, state))
        return [path for one in state["heatmaps"] for path in one["paths"]]

    panel.read(context(dataset, state))
    assert ticked() == ticked() == ["cam_of_other", "cam"]
    assert (colored, state.get("repainting")) == ([], None)
    dataset.set_values("new_cam", [fo.Heatmap(map_path="/map.png")] * len(PAIRS))
    describe_field(dataset, "new_cam", "Of r", run="r", label_field="own", kind="predicted")
    assert ticked() == ["new_cam", "cam_of_other", "cam"]
    assert (colored, state["colored"], state["repainting"]) == (["new_cam"], ["new_cam"], True)
    # The next one is colored too, and the first is known still.
    dataset.set_values("newer_cam", [fo.Heatmap(map_path="/map.png")] * len(PAIRS))
    describe_field(dataset, "newer_cam", "Of r", run="r", label_field="own", kind="label")
    panel.read_heatmaps(context(dataset, state))
    assert panel.color(context(dataset, state))
    assert colored == state["colored"] == ["new_cam", "newer_cam"]
    assert not panel.color(context(dataset, state))


def test_the_panel_looks_again_soon_while_something_goes_on(panel, dataset):
    for tab, known, interval in (
        ("jobs", {}, 5000),
        ("jobs", {"is_busy": True}, 1000),
        ("jobs", {"stale_due": True}, 1000),
        ("runs", {"is_busy": True}, 1000),
        ("runs", {}, None),  # or an open list would be closed
    ):
        state = {"tab": tab}
        panel.read(context(dataset, state))
        state |= {"is_busy": False, "stale_due": False, "times_due": None, **known}
        drawn = panel.render(context(dataset, state)).type.properties
        timers = [part.view.to_json() for name, part in drawn.items() if name.startswith("timer")]
        assert [timer["interval"] for timer in timers] == [interval][: interval is not None]


@pytest.mark.parametrize("verb", ["report", "export_folders"])
def test_files_of_earlier_labels_are_to_be_written_again(panel, dataset, verb):
    """What is written says which labels it has: it is no finished step once they have changed."""
    operator = foo.get_operator(f"@gradcam/classifier/{verb}")
    basis = operator._basis({"samples": dataset})
    job = queue.note_done(verb, verb, dataset, {"summary": "written", **basis})
    state, done = {"tab": "jobs"}, [verb == "export_folders", verb == "export_folders"]
    panel.read(context(dataset, state))
    for change in (None, "c"):
        if change:
            sample = dataset[dataset.values("id")[0]]
            sample["own"].label = change
            sample.save()
            done[1] = False
        panel.read_stale(context(dataset, state))
        assert state["old_jobs"] == ([job.id] if change else [])
        assert dict(x[:2] for x in state["steps"])["Export"] == done[bool(change)]
    words = "Out of date: labels have changed since"
    assert words in json.dumps(panel.render(context(dataset, state)).type.to_json())
    DelegatedOperationService().delete_operation(ObjectId(job.id))


def test_a_comparison_of_earlier_labels_says_so(panel, dataset, service, submit):
    job, state = submit("compare_runs", a="r", b="o"), {"tab": "jobs"}
    end(service, job, result={"summary": "same", "rests_on": all_labels(dataset)})
    panel.read(context(dataset, state))
    panel.read_stale(context(dataset, state))
    assert state["old_jobs"] == []
    assert "Run again" not in buttons_of(panel.render(context(dataset, state)).type)
    sample = dataset[dataset.values("id")[0]]
    sample["own"].label = "c"
    sample.save()
    panel.read_stale(context(dataset, state))
    assert state["old_jobs"] == [job.id]
    drawn = panel.render(context(dataset, state)).type
    assert {"Run again", "Hide this job (images, labels and results stay)"} <= {*buttons_of(drawn)}
    words = "Out of date: labels have changed since; 'Run again' uses the current ones"
    assert words in json.dumps(drawn.to_json())


def test_an_estimate_says_that_labels_were_corrected_since(
    panel, dataset, service, submit, monkeypatch
):
    job, state = submit("find_label_issues", label_field="own"), {"tab": "jobs"}
    other = submit("find_label_issues", label_field="found")
    for one in (other, job):
        end(service, one, result={"summary": "About 2 of 8 labels are wrong"})
    since = []
    monkeypatch.setattr(path, "estimated_before", lambda _: since[0] if since else None)
    panel.read(context(dataset, state))
    panel.read_stale(context(dataset, state))
    assert state["remarks"] == {}
    since.append(("own", "2 labels were corrected"))
    panel.read_stale(context(dataset, state))
    words = "This was estimated before 2 labels were corrected."
    assert state["remarks"] == {job.id: words}
    drawn = panel.render(context(dataset, state)).type
    assert words in json.dumps(drawn.to_json())
    later = submit("find_label_issues", label_field="own")
    end(service, later, result={"summary": "About 1 of 8 labels is wrong"})
    for known, newest in ((since, {later.id: words}), ([], {})):
        monkeypatch.setattr(path, "estimated_before", lambda _, x=known: x[0] if x else None)
        panel.read_stale(context(dataset, state))
        assert state["remarks"] == {job.id: "The labels were checked again later."} | newest


def test_another_dataset_begins_with_nothing_chosen(panel, dataset):
    state = {
        "tab": "evaluate", "shown_run": "x", "own": "1", "prediction_field": "other",
        "part": "test", "colored": ["cam"], "choices": {"part": "test"}, "finding": {"search": "x"},
        "bar_choices": {"bar_order": "name"},
    }  # fmt: skip
    panel.on_change_dataset(context(dataset, state))
    assert (state["prediction_field"], state["part"]) == ("found", "test")
    assert (state["shown_run"], state["own"], state["colored"]) == (None, None, None)
    assert state["finding"] == state["bar_choices"] == {}  # what its lists stand at
    assert "part" not in state["choices"]
    assert state["tab"] == "evaluate"
