"""What the tab "Steps" says of values that are out of date."""

import pytest
from fiftyone.operators import types
from panel_contexts import context, end, make_dataset

from fiftyone_gradcam.app.panels import path
from fiftyone_gradcam.dataset.freshness import SPLIT_CHANGED, Stale


@pytest.fixture
def dataset(name):
    return make_dataset(name)


def test_of_many_stale_values_the_first_are_listed(panel, dataset):
    for count, more in ((6, None), (7, "And 1 more out of date")):
        own = {"kind": "label scores", "name": "x", "can": True}
        found = [{**own, "words": f"No. {number}"} for number in range(count)]
        found[1]["can"] = False
        drawn = types.Object()
        panel.draw_stale(context(dataset, {"stale": found}), drawn)
        rows = [drawn.properties[f"stale_{place}"].type.properties for place in range(6)]
        words = [row["words"].default for row in rows]
        assert words == [f"⚠ Out of date: no. {place}" for place in range(6)]
        # What is out of date and its button are in one row.
        can = [row["refresh"].view.label if "refresh" in row else None for row in rows]
        assert can == ["Refresh label scores", None, *["Refresh label scores"] * 4]
        last = drawn.properties.get("more_stale")
        assert (last and last.default) == more
        assert len(drawn.properties) == 6 + (more is not None)


def test_what_is_out_of_date_comes_before_jobs_and_a_run_is_trained_again(
    panel, dataset, service, submit
):
    end(service, submit("find_leaks"))
    state = {"tab": "jobs"}
    panel.read(context(dataset, state))
    state["stale"] = [{"kind": "run", "name": "r", "can": True, "words": "Run 'r': words"}]
    drawn = panel.render(context(dataset, state)).to_json()["type"]["properties"]
    (card,) = [name for name in drawn if name.startswith("job_")]
    assert list(drawn).index("stale_0") < list(drawn).index(card)
    row = drawn["stale_0"]["type"]["properties"]
    assert row["refresh"]["view"]["label"] == "Train again"


def test_what_the_next_step_refreshes_is_not_said_twice(panel, dataset, monkeypatch):
    labels = Stale("run", "r", "labels have changed since it was trained", "retrain", {"run": "r"})
    split = Stale("run", "r", SPLIT_CHANGED, "retrain", {"run": "r"})
    again = {"run": "r", "prediction_field": "found"}
    found = Stale("predictions", "found", "run 'r' was trained again since", "predict", again)
    scores = Stale("label scores", "found", "1 label has changed since", "predict", {"run": "r"})

    def kept(run: Stale, *options: tuple[str, str]) -> list[str]:
        monkeypatch.setattr(path, "stale_values", lambda _: [run, found, scores])
        state = {"next": [{"verb": verb, "given": {"run": key}} for verb, key in options]}
        panel.read_stale(context(dataset, state))
        return [one["words"] for one in state["stale"]]

    assert kept(labels, ("retrain", "s"), ("predict", "s")) == [*map(str, (labels, found, scores))]
    assert kept(labels, ("retrain", "r")) == [*map(str, (found, scores))]
    assert kept(labels, ("predict", "r")) == [*map(str, (labels, scores))]
    # The next step speaks of labels, and not of another split.
    assert kept(split, ("retrain", "r")) == [*map(str, (split, found, scores))]
