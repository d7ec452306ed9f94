"""The tab Runs without a browser: its rows, which run it shows, and how trainings are resumed."""

from dataclasses import replace

import pytest
from bson import ObjectId
from fiftyone.operators.delegated import DelegatedOperationService
from made_runs import CLASSES, make_run, some_digits
from panel_contexts import context, end, requests

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.panels.chosen import made_words
from fiftyone_gradcam.app.panels.run_rows import describe_runs, with_trainings
from fiftyone_gradcam.app.panels.tables import BREAK
from fiftyone_gradcam.dataset import runs
from fiftyone_gradcam.dataset.learned import decided_before
from fiftyone_gradcam.dataset.reviews import Review
from fiftyone_gradcam.jobs import queue
from fiftyone_gradcam.jobs.job import CANCELLED_AND_ENDED


@pytest.fixture
def dataset(name, tmp_path):
    """12 digits in three classes."""
    yield from some_digits(tmp_path, name)


def record(dataset, key: str, at: str | None = None, **changes) -> runs.Run:
    """Record a run of 3 of 4 epochs, whose training read its labels at some time."""
    run = make_run(dataset, key, epochs=4)
    basis = {"split": "", "at": at} if at else None
    return runs.save_run(dataset, replace(run, basis=basis, **{"canceled": False, **changes}))


def rows_of(dataset) -> dict[str, str]:
    return {x["key"]: x["training"] for x in with_trainings(dataset, describe_runs(dataset))}


def test_the_table_says_which_trainings_are_canceled_or_going_on(dataset, service, submit):
    for key, canceled in (("early", False), ("part", True), ("old", None)):
        record(dataset, key, canceled=canceled)
    assert rows_of(dataset) == {
        "early": "small_cnn, 3 of 4 epochs",
        "part": "small_cnn, 3 of 4 epochs, canceled",
        "old": "small_cnn, 3 of 4 epochs, canceled",  # by an earlier version; it can be resumed
    }
    jobs = [
        submit("fine_tune", key="new", backbone="mobilenet_v2"),
        submit("fine_tune", key="fast", recipe="matlab-food"),
        submit("fine_tune", key="part", resume=True),
        submit("retrain", run="old"),
    ]
    service.set_running(ObjectId(jobs[0].id), run_link=jobs[0].log)
    found = with_trainings(dataset, describe_runs(dataset))
    assert [(x["key"], x["backbone"], x["training"]) for x in found[:3]] == [
        ("old_corrected", "small_cnn", "small_cnn, waits to be trained"),
        ("fast", "googlenet", "googlenet, waits to be trained"),
        ("new", "mobilenet_v2", "mobilenet_v2, is being trained"),
    ]
    assert len(found) == 6
    assert rows_of(dataset)["part"] == "small_cnn, 3 of 4 epochs, canceled; waits to be trained"
    for job in jobs:
        end(service, job, CANCELLED_AND_ENDED)
    assert len(rows_of(dataset)) == 3


def test_the_newest_run_is_shown_unless_another_one_was_chosen_since(panel, dataset):
    state = {"tab": "runs"}

    def shown() -> str:
        panel.read_runs(context(dataset, state))
        return state["shown_run"]

    record(dataset, "a")
    assert shown() == "a"
    record(dataset, "b")
    assert shown() == "b"
    panel.on_show_run(context(dataset, state, value="a"))
    assert shown() == shown() == "a"
    record(dataset, "c")
    assert shown() == "c"
    panel.on_show_run(context(dataset, state, value="a"))
    fg.delete_run(dataset, "c")  # nothing is new
    assert shown() == "a"
    record(dataset, "b")  # it was trained again, or resumed
    assert shown() == "b"
    record(dataset, "before", labels="before_review")  # there to be compared with
    assert shown() == "b"
    for key, retrains in (("b", True), ("before", False)):
        panel.on_show_run(context(dataset, state, value=key))
        drawn = panel.render(context(dataset, state)).type
        actions = drawn.properties["run_actions"].type.properties
        assert ("retrain" in actions) == retrains


def test_the_runs_are_read_again_when_a_training_ends(panel, dataset, service, submit):
    record(dataset, "a")
    job, state = submit("fine_tune", key="b"), {"tab": "runs"}
    panel.read(context(dataset, state))
    assert [row["key"] for row in state["runs"]] == ["b", "a"]
    assert (state["run_keys"], state["shown_run"]) == (["a"], "a")
    record(dataset, "b")
    end(service, job, result={"summary": "Saved", "run": "b"})
    panel.on_tick(context(dataset, state))
    assert (state["run_keys"], state["shown_run"]) == (["b", "a"], "b")


def buttons_of(panel, dataset, state) -> dict[str, str]:
    """The buttons for the run that is shown, with their variants."""
    drawn = panel.render(context(dataset, state)).type.properties["run_actions"].to_json()
    views = [x["view"] for x in drawn["type"]["properties"].values()]
    return {x["label"]: x["variant"] for x in views}


def test_a_canceled_training_is_resumed_by_its_first_button(panel, dataset, service, submit):
    record(dataset, "part", canceled=True)
    record(dataset, "whole", canceled=False)
    state = {"tab": "runs"}
    panel.read(context(dataset, state))
    assert buttons_of(panel, dataset, state)["Predict with it"] == "contained"
    assert "Resume" not in buttons_of(panel, dataset, state)
    panel.on_show_run(context(dataset, state, value="part"))
    variants = buttons_of(panel, dataset, state)
    assert next(iter(variants)) == "Resume"
    assert [label for label, x in variants.items() if x == "contained"] == ["Resume"]
    # Without its job, it is resumed on the whole dataset.
    panel.on_resume_run(context(dataset, state))
    (job,) = queue.list_jobs(dataset)
    assert (job.verb, job.given["key"], job.given["resume"]) == ("fine_tune", "part", True)
    assert (state["tab"], state["own"]) == ("jobs", job.id)
    panel.turn_to(context(dataset, state), "runs")
    panel.on_show_run(context(dataset, state, value="part"))
    assert "Resume" not in buttons_of(panel, dataset, state)  # it is resumed already
    DelegatedOperationService().delete_operation(ObjectId(job.id))
    # With its job, on the samples of the job.
    old = queue.submit("fine_tune", {"samples": dataset.limit(6), "key": "part"}, dataset)
    end(service, old, CANCELLED_AND_ENDED)
    panel.on_resume_run(context(dataset, state))
    (job,) = queue.list_jobs(dataset)
    assert job.given["resume"] is True
    assert queue.given_samples(job.id) == dataset.limit(6)
    assert (state["tab"], state["own"]) == ("jobs", job.id)
    DelegatedOperationService().delete_operation(ObjectId(job.id))


def test_a_run_says_after_how_many_corrections_it_was_trained(panel, dataset):
    record(dataset, "elsewhere")
    record(dataset, "first", "2020-01-01T00:00:00")
    assert rows_of(dataset)["first"] == "small_cnn, 3 of 4 epochs"  # nothing was reviewed yet
    ids = dataset.values("id")
    fg.review(dataset.select(ids[:3]), "relabel", CLASSES[2])
    fg.review(dataset.select(ids[3]), "keep")
    fg.review(dataset.select(ids[4]), "exclude")
    time = max(one.time for one in fg.list_reviews(dataset))
    record(dataset, "second", time)
    fg.review(dataset.select(ids[5]), "relabel", CLASSES[2])
    record(dataset, "imported", labels="before_review")
    assert rows_of(dataset) == {
        "elsewhere": "small_cnn, 3 of 4 epochs",
        "first": "small_cnn, 3 of 4 epochs, before any correction",
        "second": "small_cnn, 3 of 4 epochs, after 3 corrections, 1 sample left out",
        "imported": "small_cnn, 3 of 4 epochs, on the labels before review",
    }
    state = {"tab": "runs", "shown_run": "second"}
    panel.read(context(dataset, state))
    shown = next(row for row in state["run_rows"] if row["key"] == "second")
    words = shown["training"].replace(BREAK, "")
    assert words == rows_of(dataset)["second"]  # it is not shortened
    words = "Trained after 3 corrections, 1 sample left out."
    assert words in state["run_words"]


def test_a_correction_that_was_taken_back_is_none():
    def one(sample: str, old: str, new: str, time: str, decision: str = "relabel") -> Review:
        return Review(sample, "", decision, old, new, "own", "", time, "", None, None)

    reviews = [
        one("1", "a", "b", "1"),
        one("2", "a", "a", "2", "exclude"),
        one("1", "b", "a", "3"),
        one("3", "a", "b", "4"),
        one("2", "a", "b", "5"),
    ]
    counts = [decided_before(reviews, time) for time in "012345"]
    assert counts == [(0, 0), (1, 0), (1, 1), (0, 1), (1, 1), (2, 0)]


def test_a_training_notes_when_it_has_read_its_labels(trained):
    run = fg.load_run(trained, "quick")
    assert run.basis["at"] < run.trained
    assert run.learned_at == run.basis["at"]
    assert replace(run, basis=None).learned_at == run.trained


def test_retraining_asks_before_it_starts(panel, dataset):
    record(dataset, "a")
    ctx = context(dataset, {"shown_run": "a"})
    panel.on_retrain_run(ctx)
    (asked,) = requests(ctx, "prompt_user_for_operation")
    assert asked["operator_uri"].endswith("/retrain")
    assert asked["params"] == {"run": "a"}


def test_an_evaluation_names_the_run_of_the_predictions_and_its_time(panel, dataset):
    run = make_run(dataset, "made", files=False)
    fg.predict(dataset, "made", progress=False, device="cpu", heatmaps=())

    def words() -> str:
        ctx = context(dataset, {"prediction_field": "prediction", "part": "all"})
        return made_words(panel.chosen(ctx))

    when = f"{run.trained[8:10]}"
    found = words()
    assert found.startswith(f"Predicted by run 'made', recorded {when} ")
    assert f" {run.trained[:4]} {run.trained[11:16]} UTC. " in found
    assert found.endswith("Compared with the current labels in 'ground_truth'.")
    runs.save_run(dataset, run)
    assert "UTC (it was trained again since). " in words()
