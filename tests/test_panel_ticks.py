"""What the panel does at a tick, and without a dataset, without a browser."""

import time

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId
from panel_contexts import PAIRS, context, end, make_dataset, requests

from fiftyone_gradcam.app.panels import heatmaps
from fiftyone_gradcam.app.panels.path import mark_of
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.jobs.job import CANCELLED_AND_ENDED, LOST, load_job

SHOWN = {"name": "Embeddings", "data": {"openKey": "embeddings"}}


@pytest.fixture
def dataset(name):
    return make_dataset(name)


@pytest.fixture
def colored(monkeypatch) -> list[str]:
    """The fields that the App was given colors for; it lacks that of "cam" at first."""
    found = []
    monkeypatch.setattr(heatmaps, "lacking_colors", lambda _, known: [*({"cam"} - {*known})])
    monkeypatch.setattr(heatmaps, "color_heatmaps", lambda _, fields: found.extend(fields))
    return found


def ticked(panel, dataset, state: dict, **more) -> list[str]:
    """The names of the messages of a tick."""
    ctx = context(dataset, state)
    ctx.request_params.update(more)
    panel.on_tick(ctx)
    found = [x["operator_uri"].rpartition("/")[2] for x in ctx.executor.to_json()["requests"]]
    return [name for name in found if name != "patch_panel_state"]


def quiet(panel, dataset, **more) -> dict:
    """The state of a panel that has nothing to do."""
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    return state | {"times_due": None, "stale_due": None, **more}


def test_without_a_dataset_the_panel_offers_an_import(panel):
    state: dict = {}

    def nowhere(**params) -> foo.executor.ExecutionContext:
        given = {"panel_id": "p", "panel_state": state, **params}
        return foo.executor.ExecutionContext({"params": given}, executor=foo.executor.Executor())

    assert list(panel.render(nowhere()).type.properties) == []  # nothing is read yet
    panel.on_load(nowhere())
    assert state["tab"] == "jobs"
    assert state["steps"][0] == ["Import", False, ""]
    assert [done for _, done, _ in state["steps"]] == [False] * 7
    assert [x["label"] for x in state["next"]] == ["Import a folder"]
    drawn = panel.render(nowhere()).to_json()["type"]["properties"]
    assert list(drawn) == ["step_list", "next_words", "next_buttons"]  # and no tabs
    before = dict(state)
    ctx = nowhere()
    panel.on_tick(ctx)
    assert (state, ctx.executor.to_json()["requests"]) == (before, [])


def test_a_panel_that_was_opened_before_a_dataset_reads_it_when_it_is_drawn(panel, dataset):
    state = {"steps": [["Import", False, ""]], "tab": None}
    drawn = panel.render(context(dataset, state)).type.properties
    assert state["mark"] == mark_of(dataset)
    assert drawn["tab_0"].default == "jobs"
    assert list(drawn)[-2:] == ["plot_sizes", "timer_1000"]


def test_data_is_sent_to_a_panel_that_opens_until_it_has_it(panel, dataset):
    spaces = fo.Space(children=[fo.Panel(type="Samples"), fo.Panel(type="Embeddings")])
    # Three times once it is open; if it does not open, no more than seven times are tried.
    for there, left in ((spaces, [2, 1]), (fo.Space(), [2, 1, 0, -1, -2, -3])):
        state = quiet(panel, dataset, turning={**SHOWN, "left": 3})
        sent = []
        for number in left:
            sent += ticked(panel, dataset, state, spaces=there.to_dict())
            assert (state["turning"], state["is_busy"]) == ({**SHOWN, "left": number}, True)
        sent += ticked(panel, dataset, state, spaces=there.to_dict())
        assert (state["turning"], state["is_busy"]) == (None, False)
        assert sent == ["set_panel_data"] * (3 if there is spaces else 0)


def test_tiles_are_loaded_again_once_their_colors_are_painted(panel, dataset, colored):
    def repainted(**more) -> list[str]:
        return ticked(panel, dataset, quiet(panel, dataset, **more) if more else state)

    # While tiles load, colors wait, and then the tiles are painted.
    state = quiet(panel, dataset, repainting=True, loaded=time.time())
    assert repainted() == []
    assert (state["repainting"], state["is_busy"], state.get("colored")) == (True, True, None)
    state["loaded"] -= heatmaps.LOAD_SECONDS
    for _ in range(2):
        assert repainted() == []
        assert (state["repainting"], state["is_busy"]) == (True, True)
        assert colored == state["colored"] == ["cam"]
    state["colored_at"] -= heatmaps.PAINT_SECONDS
    assert repainted() == ["reload_samples"]
    assert (state["repainting"], state["is_busy"]) == (None, False)
    assert repainted() == []
    # Colors that are new are seen at the next tick.
    state = quiet(panel, dataset)
    assert repainted() == []
    assert (state["repainting"], state["is_busy"], state["colored"]) == (True, True, ["cam"])


def test_what_has_ended_is_shown_when_its_colors_are_painted(
    panel, dataset, service, submit, colored
):
    failed, job = submit("find_leaks"), submit("predict", run="r")
    state = quiet(panel, dataset, going=[failed.id], tab="runs")
    end(service, failed, "ValueError: wrong")
    assert ticked(panel, dataset, state) == ["notify"]  # it has no heatmaps
    assert colored == []
    state |= {"own": job.id, "going": [job.id], "loaded": 1.0}
    end(service, job, result={"summary": "done", "panel": SHOWN})
    for _ in range(2):
        assert ticked(panel, dataset, state) == []
        assert (state["going"], state["is_busy"], colored) == ([job.id], True, ["cam"])
        assert state["own"] == job.id
    state["colored_at"] -= heatmaps.PAINT_SECONDS
    before = time.time()
    assert ticked(panel, dataset, state) == ["notify", "reload_dataset", "open_panel"]
    assert (state["going"], state["own"], state["is_busy"]) == ([], None, True)
    assert state["turning"] == {**SHOWN, "left": 3}
    assert state["loaded"] >= before  # from now on, tiles load again


def test_of_two_that_have_ended_the_one_without_a_card_is_reported(panel, dataset, service, submit):
    for ends, reloads, variant in (
        (None, 2, "success"),
        ("ValueError: wrong", 0, "error"),
        (LOST, 0, "error"),
        (CANCELLED_AND_ENDED, 0, "info"),
    ):
        first, last = submit("find_leaks"), submit("find_leaks")
        state = quiet(panel, dataset, going=[first.id, last.id])
        for job in (first, last):
            service.set_running(ObjectId(job.id), run_link="elsewhere 1 1.0")
            end(service, job, ends)
        ctx = context(dataset, state)
        panel.on_tick(ctx)
        (said,) = requests(ctx, "notify")
        message = f"{first.label}: {load_job(first.id).message}"
        assert (said["message"], said["variant"]) == (message, variant)
        assert [x["id"] for x in state["cards"]] == [last.id]
        assert len(requests(ctx, "reload_dataset")) == reloads


def test_jobs_that_replace_heatmaps_are_shown_when_the_page_is_loaded(
    panel, dataset, service, submit
):
    jobs = [submit(verb, run="r") for verb in ("predict", "find_anomalies", "mean_heatmaps")]
    for job in jobs:
        end(service, job)
    state: dict = {"tab": "runs"}
    panel.on_load(context(dataset, state))
    assert state["tab"] == "runs"
    assert sorted(state["going"]) == sorted(job.id for job in jobs[:2])


def test_what_was_predicted_into_the_usual_field_is_chosen(panel, dataset, service, submit):
    dataset.set_values("prediction", [fo.Classification(label="a", confidence=0.5)] * len(PAIRS))
    describe_field(dataset, "prediction", "Of r", run="r", label_field="own")
    for ends, field in ((None, "prediction"), ("ValueError: wrong", "other")):
        job = submit("predict", run="r")
        state = quiet(panel, dataset, prediction_field="other", own=job.id, choices={})
        end(service, job, ends)
        ticked(panel, dataset, state)
        assert (state["prediction_field"], state["own"]) == (field, None)
        chosen = state["choices"].get("prediction_field")  # what the list shows
        assert chosen == (field if ends is None else None)


def test_nothing_is_read_while_a_job_runs(panel, dataset, submit):
    state = quiet(panel, dataset, stale_due=True, times_due=1e12, mark="earlier")
    job = submit("find_leaks")
    ticked(panel, dataset, state)
    assert (state["is_busy"], state["stale_due"], state["times_due"]) == (True, True, 1e12)
    assert state["mark"] == "earlier"
    state["stale_due"] = None
    ticked(panel, dataset, state)
    assert (state["mark"], state["times_due"]) == ("earlier", 1e12)
    job.cancel()
    state["going"] = []
    ticked(panel, dataset, state)
    assert state["mark"] == mark_of(dataset)
