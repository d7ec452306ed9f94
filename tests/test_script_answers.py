"""What operators do in the App without a browser: jobs that they queue, and answers to scripts."""

from types import SimpleNamespace
from typing import ClassVar

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from panel_contexts import context
from reviewable import CLASSES, at, make_reviewable

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators import follow_job, verb
from fiftyone_gradcam.app.operators.explain_call import (
    ExplainSample,
    ShowHeatmap,
    as_values,
    predicted_fields,
)
from fiftyone_gradcam.app.operators.import_folders import ImportFolders
from fiftyone_gradcam.app.operators.predict import Predict, _all_of
from fiftyone_gradcam.app.operators.review_calls import ReviewCards, ReviewDecide, ReviewUndo
from fiftyone_gradcam.app.operators.split import Split
from fiftyone_gradcam.dataset.prediction_fields import HEATMAP_ATTRIBUTES
from fiftyone_gradcam.dataset.shown import active_heatmaps
from fiftyone_gradcam.dataset.storing import Declared, declare
from fiftyone_gradcam.explain.explanation import ClassMap, Explanation, Neighbor


@pytest.fixture
def dataset(name):
    """Four samples with labels, predictions and two suggestions."""
    dataset = make_reviewable(name)
    yield dataset
    dataset.delete()


# Jobs of the App


@pytest.fixture
def queued(monkeypatch):
    """What is queued in the App, instead of a job."""
    monkeypatch.setenv("FIFTYONE_SERVER", "1")
    made = []

    def submit(*given):
        made.append(given)
        return SimpleNamespace(id="j")

    monkeypatch.setattr(verb.queue, "submit", submit)
    monkeypatch.setattr(verb, "show_job", lambda ctx, id: iter([f"panel {id}"]))
    return made


def test_what_takes_long_is_queued_with_its_form(dataset, queued):
    def run(operator, ctx) -> list:
        return [*operator.execute(ctx)]

    request = {"dataset_name": dataset.name, "params": {"run": "r"}, "view_target": "DATASET"}
    ctx = foo.executor.ExecutionContext(request, executor=foo.executor.Executor())
    assert run(Predict(), ctx)[-1] == "panel j"
    ((name, given, own, form, expected),) = queued
    assert (name, given["run"], own, expected) == ("predict", "r", dataset, None)
    assert form == {"run": "r", "view_target": "DATASET"}
    queued.clear()
    request = {"params": {"path": "/photos"}}
    ctx = foo.executor.ExecutionContext(request, executor=foo.executor.Executor())
    (message,) = run(ImportFolders(), ctx)
    assert message.body.operator_uri == "@gradcam/classifier/show_import"
    assert message.body.params == {"job": "j"}
    assert [one[0] for one in queued] == ["import_folders"]
    queued.clear()
    # A split that reads no images is done at once, and says so.
    request = {"dataset_name": dataset.name, "params": {"train": 0.5, "val": 0.5, "test": 0}}
    ctx = foo.executor.ExecutionContext(request, executor=foo.executor.Executor())
    shown = [x.body.operator_uri.rpartition("/")[2] for x in run(Split(), ctx)]
    assert (shown, queued) == (["notify", "reload_dataset"], [])
    assert sum(dataset.count_sample_tags().get(tag, 0) for tag in ("train", "val")) == 3
    assert [*_all_of(iter("ab"), iter("c"))] == ["a", "b", "c"]


def test_a_box_opens_what_a_job_has_made(dataset, monkeypatch):
    def messages(job) -> list[tuple[str, dict]]:
        def load(id: str):
            assert id == "j"
            if isinstance(job, Exception):
                raise job
            return job

        monkeypatch.setattr(follow_job, "load_job", load)
        ctx = context(dataset, {}, job="j")
        found = [x.body for x in follow_job.FollowJob().execute(ctx)]
        return [(x.operator_uri.rpartition("/")[2], x.params) for x in found]

    outcome = {"dataset": "made"}
    done = SimpleNamespace(state="completed", outcome=outcome)
    assert messages(done) == [("open_dataset", {"dataset": "made"})]
    assert messages(SimpleNamespace(state="failed", outcome=outcome)) == []
    ((name, said),) = messages(ValueError("There is no job"))
    assert (name, said["message"], said["variant"]) == ("notify", "There is no job", "error")


# Answers to scripts


def answer(call, dataset, **given) -> dict:
    return call().execute(context(dataset, {}, **given))


def test_the_last_decision_is_undone_from_the_card(dataset):
    ids = dataset.values("id")
    assert "There is no decision" in answer(ReviewUndo, dataset)["error"]
    fg.review(at(dataset, 0), "keep")
    fg.review(at(dataset, 0, 1), "relabel", "new", new_class=True)
    found = answer(ReviewUndo, dataset)
    labels = {card["id"]: card["label"] for card in found["cards"]}
    assert labels == {ids[0]: "cat", ids[1]: "bird"}
    assert (found["count"], found["decision"], found["label"]) == (2, "relabel", "new")
    assert found["classes"] == CLASSES  # without the new one
    assert (
        found["progress"]["words"] == "2 suspicious labels: 1 reviewed, 1 left; 0 corrected so far"
    )
    found = answer(ReviewUndo, dataset)
    assert (found["count"], found["decision"]) == (1, "keep")
    assert [card["id"] for card in found["cards"]] == ids[:1]


def test_cards_are_asked_for_in_each_way(dataset):
    ids = dataset.values("id")
    found = answer(ReviewCards, dataset)
    assert ([card["id"] for card in found["cards"]], found["rest"]) == (ids[:2], 0)
    found = answer(ReviewCards, dataset, known=ids[:1])
    assert [card["id"] for card in found["cards"]] == ids[1:2]
    found = answer(ReviewCards, dataset, ids=ids[2:])
    assert [card["id"] for card in found["cards"]] == ids[2:]
    assert found["classes"] == CLASSES
    assert answer(ReviewCards, dataset, ids=[])["cards"] == []
    found = answer(ReviewCards, dataset, label="bird")
    assert [card["id"] for card in found["cards"]] == ids[1:2]
    error = answer(ReviewCards, dataset, ids=["x"])["error"]
    assert error == "'x' is not the ID of a sample"
    # Labels that were edited elsewhere are added to the journal only if that is asked for.
    fg.review(at(dataset, 0), "keep")
    dataset.set_values("own.label", {ids[0]: "dog"}, key_field="id")
    for adopt, count in ((False, 1), (True, 2)):
        answer(ReviewCards, dataset, adopt=adopt)
        assert len(dataset.values("review_history")[0]) == count
    said = answer(ReviewDecide, dataset, id=ids[0], decision="like")["error"]
    assert said == "decision must be one of " + ", ".join(
        ["accept", "relabel", "keep", "unclear", "exclude"]
    )
    assert answer(ReviewDecide, dataset, decision="keep")["error"] == "'' is not the ID of a sample"


def test_a_heatmap_that_was_chosen_is_shown_the_next_time(dataset):
    declare(dataset, "cam", Declared("heatmap", "", {"kind": "predicted"}, HEATMAP_ATTRIBUTES))
    dataset.app_config.active_fields = fo.ActiveFields(paths=["own"])
    dataset.save()
    for path, shown in (("cam", ["cam"]), (None, []), ("cam", ["cam"]), ("", [])):
        assert answer(ShowHeatmap, dataset, path=path) == {}
        dataset.reload()
        assert active_heatmaps(dataset) == shown


def test_what_cannot_be_explained_is_said(dataset):
    sample_id = dataset.values("id")[0]
    fo_field = dataset.get_field("prediction")
    fo_field.info = {**fo_field.info, "version": "1"}
    fo_field.save()
    assert predicted_fields(dataset) == ["prediction"]
    said = answer(ExplainSample, dataset, id=sample_id, way="x")["error"]
    assert said.startswith("way must be one of ")
    gone = "0" * 24
    said = answer(ExplainSample, dataset, id=gone)["error"]
    assert said == f"There is no sample {gone} any more. Reload the App"
    assert answer(ExplainSample, dataset)["error"] == "'' is not the ID of a sample"


def test_calls_need_a_dataset_unless_they_are_of_jobs():
    class Own(follow_job.ImportCall):
        kinds: ClassVar = {}

        def answer(self, dataset, given):
            return {"given": given}

    ctx = foo.executor.ExecutionContext({"params": {}})
    assert Own().execute(ctx) == {"given": {}}
    assert ReviewUndo().execute(ctx) == {"error": "Open a dataset first"}


def test_an_explanation_of_many_classes_is_cut_off():
    names = tuple(f"c{n}" for n in range(2001))
    scores = np.linspace(1, 0, 2001, dtype=np.float32)
    maps = [ClassMap(name, 0.5, 1.0, np.eye(2, dtype=np.float32), None) for name in ("c0", "c9")]
    neighbors = (Neighbor("2", "/y", None, 0.5),)
    found = Explanation(
        "1", "/x", 4, 2, (0.0, 0.0, 1.0, 1.0), "r", "gradcam", "l", names, scores, "c0", None,
        "own", tuple(maps), None, neighbors, "training images", (*maps[0].words, "more"), ("note",),
    )  # fmt: skip
    values = as_values(found)
    assert values["classes"] == list(names[:2000])
    assert [bar["label"] for bar in values["bars"]] == ["c0", "c1", "c2", "c3", "c4", "c9"]
    assert values["bars"][-1]["probability"] == 0.5  # of its map
    assert [one["label"] for one in values["maps"]] == ["c0", "c9"]
    assert values["neighbors"] == [{"id": "2", "path": "/y", "label": None}]
    assert (values["words"], values["notes"]) == (["more"], ["note"])
    facts = ("id", "path", "width", "height", "box", "run", "method", "layer", "contrast", "label")
    assert [values[name] for name in facts] == [
        "1", "/x", 4, 2, [0.0, 0.0, 1.0, 1.0], "r", "Grad-CAM", "l", None, None,
    ]  # fmt: skip
