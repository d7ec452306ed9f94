"""How outcomes and colors reach the App: the messages, by what the App has open."""

import fiftyone as fo
import fiftyone.core.state as fos
import fiftyone.operators as foo
import pytest
from fiftyone.server.events import state as server
from panel_contexts import make_dataset

from fiftyone_gradcam.app import showing
from fiftyone_gradcam.app.planned_colors import color_planned
from fiftyone_gradcam.dataset.run import Run
from fiftyone_gradcam.dataset.runs import save_run
from fiftyone_gradcam.dataset.shown import color_of, plan_colors

EMBEDDINGS = {"name": "Embeddings", "data": {"openKey": "x"}}


@pytest.fixture
def dataset(name):
    """With heatmaps "cam" and "cam_of_other", whose colors are stored."""
    dataset = make_dataset(name)
    plan_colors(dataset, {"cam": "predicted", "cam_of_other": "label"}, [])
    return dataset


@pytest.fixture
def opened(monkeypatch):
    """Let the App's server have a dataset open, with a color scheme."""

    def open_it(dataset, scheme: fo.ColorScheme | None) -> None:
        monkeypatch.setenv("FIFTYONE_SERVER", "1")
        state = fos.StateDescription(dataset=dataset, color_scheme=scheme)
        monkeypatch.setattr(server, "_state", state)

    return open_it


def context(dataset, **more) -> foo.executor.ExecutionContext:
    request = {"dataset_name": dataset.name, "params": {}, **more}
    return foo.executor.ExecutionContext(request, executor=foo.executor.Executor())


def messages(ctx) -> list[tuple[str, dict]]:
    found = ctx.executor.to_json()["requests"]
    return [(m["operator_uri"].rpartition("/")[2], m["params"]) for m in found]


def shown(dataset, outcome: dict, **more) -> list[tuple[str, dict]]:
    ctx = context(dataset, **more)
    for _ in showing.show(ctx, outcome):
        pass
    return messages(ctx)


def test_an_outcome_is_shown_by_one_message_for_each_part(dataset):
    assert shown(dataset, {"dataset": "x", "reviewed": True}) == [
        ("open_dataset", {"dataset": "x"})
    ]
    reload = ("reload_dataset", {})
    reviewed = shown(dataset, {"reviewed": True})
    assert [name for name, _ in reviewed] == ["reload_dataset", "reload_review"]
    assert [name for name, _ in shown(dataset, {"reviewed": False})] == [reload[0]]
    ((name, params),) = shown(dataset, {"changed": False, "panel": EMBEDDINGS})
    assert (name, params["name"], params["layout"]) == ("open_panel", "Embeddings", "vertical")
    assert params["data"] == EMBEDDINGS["data"]
    # Without fields to show, those that are active stay, even two heatmaps.
    both = ["cam", "cam_of_other"]
    assert shown(dataset, {"changed": False}, active_fields=both) == []
    ((_, params),) = shown(dataset, {"changed": False, "fields": ["own"]}, active_fields=both)
    assert params["fields"] == ["cam", "own"]
    view = dataset.exists("found")._serialize()
    for gone, cleared in ((["found"], 1), (["cam"], 0), ((), 0)):
        found = shown(dataset, {"gone": gone}, view=view)
        assert [name for name, _ in found] == ["reload_dataset", *["clear_view"] * cleared]
    for active in (None, {"exclude": True}):  # what another version of the App may send
        ((_, params),) = shown(dataset, {"changed": False, "fields": ["own"]}, active_fields=active)
        assert params["fields"] == ["own"]


def test_colors_are_lacking_if_the_app_has_none_for_a_field(dataset, opened):
    def lacking(*known: str) -> list[str]:
        return showing.lacking_colors(context(dataset), list(known))

    assert lacking() == []  # without the App's server
    other = fo.Dataset()
    every = ["cam_of_other", "cam", "found", "other"]
    for scheme, found in (
        (fo.ColorScheme(), every),
        (fo.ColorScheme(fields=[{"path": "cam"}]), every),
        (fo.ColorScheme(fields=[{"path": "cam", "fieldColor": "#fff"}]), [*every[:1], *every[2:]]),
    ):
        opened(dataset, scheme)
        assert lacking() == found
        assert lacking("cam_of_other") == [x for x in found if x != "cam_of_other"]
        opened(other, scheme)
        assert lacking() == []
        opened(None, scheme)
        assert lacking() == []
        opened(dataset, scheme)
        assert showing.lacking_colors(context(other), []) == []  # it has no stored colors
    other.delete()


def test_stored_colors_are_given_to_the_app_beside_its_own(dataset, opened):
    def given(fields: list[str]) -> list[tuple[str, dict]]:
        ctx = context(dataset)
        showing.color_heatmaps(ctx, fields)
        return messages(ctx)

    stored = {x["path"]: x["fieldColor"] for x in dataset.app_config.color_scheme.fields}
    assert given(["cam"]) == []  # without the App's server
    mine = {"path": "own", "fieldColor": "#123456"}
    maps = {"path": "cam", "maskTargetsColors": [], "fieldColor": None}
    opened(dataset, fo.ColorScheme(color_by="value", fields=[mine, maps, {"path": None}]))
    ((name, params),) = given(["cam"])
    assert name == "set_color_scheme"
    assert params == {"fields": [mine, maps | {"fieldColor": stored["cam"]}]}
    assert given([]) == []
    # The scheme of earlier versions painted heatmaps by value.
    earlier = fo.ColorScheme(
        color_by="value", opacity=0.4, default_colorscale={"name": "jet", "list": None}
    )
    opened(dataset, earlier)
    ((_, params),) = given(["cam"])
    scheme = dataset.app_config.color_scheme
    assert params == {
        "fields": [{"path": "cam", "fieldColor": stored["cam"]}],
        "color_by": scheme.color_by,
        "opacity": scheme.opacity,
    }
    dataset.app_config.color_scheme = None
    dataset.save()
    assert given(["cam"]) == []
    assert showing.give_colors(context(dataset), {"cam": "#fff"}) is None


def test_a_job_is_shown_in_the_panel_that_is_open_or_in_a_new_one(dataset):
    def sent(space: fo.Space | None) -> list[tuple[str, dict]]:
        ctx = context(dataset, **({} if space is None else {"spaces": space.to_dict()}))
        for _ in showing.show_job(ctx, "7"):
            pass
        return messages(ctx)

    samples, own = fo.Panel(type="Samples"), fo.Panel(type="classifier")
    for space in (None, fo.Space(children=[samples])):
        ((name, params),) = sent(space)
        assert (name, params["name"], params["layout"]) == (
            "open_panel",
            "classifier",
            "horizontal",
        )
        assert params["state"] == {"state": {"tab": "jobs", "own": "7"}}
    beside = fo.Space(children=[fo.Space(children=[samples]), fo.Space(children=[own])])
    for space in (fo.Space(children=[samples, own]), beside):
        (event, opening) = sent(space)
        assert event[0] == "prompt_user_for_operation"
        assert event[1] == {
            "operator_uri": "@gradcam/classifier/classifier#on_job",
            "panel_id": own.component_id,
            "params": {"job": "7"},
            "skip_prompt": True,
        }
        assert (opening[0], opening[1]["name"]) == ("open_panel", "classifier")


def test_colors_are_stored_in_the_order_of_the_classes_of_a_run(name):
    dataset, recipe = fo.Dataset(name), {"backbone": "small_cnn", "epochs": 1}
    run = save_run(dataset, Run("k", name, ["a", "b"], recipe, [], 1, "own", "/none"))
    colors = set()
    for number, (key, classes) in enumerate(
        (("k", ["a", "b"]), (run, ["a", "b"]), ("gone", []), (None, []))
    ):
        given = {"heatmaps": (), "heatmap_classes": ["b"], "heatmap_field": f"x{number}"}
        ctx = context(dataset)
        assert list(color_planned(ctx, given | {"run": key})) == []  # outside the App's server
        assert messages(ctx) == []
        entry = dataset.app_config.color_scheme.fields[-1]
        expected = {"path": f"x{number}_b", "fieldColor": color_of("class:b", classes)}
        assert entry == expected
        colors.add(entry["fieldColor"])
    assert len(colors) == 2
