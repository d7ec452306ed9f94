"""Whatever can be chosen or clicked in the panel calls something."""

import ast
from collections.abc import Iterator

import numpy as np
import pytest
from conftest import REPOSITORY
from panel_contexts import context, make_dataset, requests

from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.run import Run
from fiftyone_gradcam.dataset.runs import save_run

# What is called by what can be chosen or clicked; some plots and tables are only looked at.
HANDLERS = {
    **dict.fromkeys(("TabsView", "DropdownView", "TextFieldView"), "on_change"),
    **{"Button": "operator", "TableView": "on_click_row", "TimerView": "on_interval"},
}


@pytest.fixture
def dataset(name):
    """With predictions, their scores, heatmaps and two runs."""
    dataset = make_dataset(name)
    classes = ["a", "b", "c", "d"]
    describe_field(dataset, "found", "", run="o", label_field="own", classes=classes)
    dataset.set_values("found_scores", np.eye(4)[np.arange(len(dataset)) % 4].tolist())
    for key in ("o", "p"):
        recipe = {"backbone": "small_cnn", "epochs": 1}
        save_run(dataset, Run(key, dataset.name, ["a", "b"], recipe, [], 1, "own", "/none"))
    return dataset


def handlers_of(properties: dict) -> Iterator[tuple[str, str, str | None]]:
    """Names of parts of a panel, what kind of part each is, and what it calls."""
    for name, part in properties.items():
        view = part["view"] or {}
        if (kind := view["name"]) in HANDLERS and not name.startswith("run_rows"):
            found = part.get(HANDLERS[kind]) or view.get(HANDLERS[kind])
            yield name, kind, found and str(found).rpartition("#")[2]
        elif kind == "PlotlyView" and name in ("confusion", "bars"):
            yield name, kind, view.get("on_click")
        yield from handlers_of(part["type"].get("properties") or {})


def test_what_can_be_chosen_or_clicked_does_something(panel, dataset):
    kinds, names = set(), set()
    for tab in ("jobs", "review", "runs", "evaluate", "scores"):
        state = {"tab": tab, "shows_actions": True}
        panel.read(context(dataset, state))
        drawn = panel.render(context(dataset, state)).to_json()
        found = [*handlers_of(drawn["type"]["properties"])]
        assert [x for x in found if not x[2]] == []
        kinds |= {kind for _, kind, _ in found}
        names |= {name for name, _, _ in found}
    assert {"show_all", "refresh", "below", "above"} <= names
    assert kinds == {*HANDLERS, "PlotlyView"}


def test_a_class_is_praised_only_where_its_mistakes_were_asked_for(panel, dataset):
    state = {"tab": "scores"}
    panel.read(context(dataset, state))
    praise = "All of b are predicted rightly: 100.0% recall."
    none = "There are no such images."  # their labels have changed since
    for label, trace, said in (
        *(("gone", 0, []), ("gone", 1, [none])),
        *(("b", 1, [praise]), ("a", 1, [])),  # of the part "test"
    ):
        click = {"idx": 0, "trace_idx": trace, "view": {"shows": [label]}}
        ctx = context(dataset, state, **click)
        panel.on_class_bar(ctx)
        assert [x["message"] for x in requests(ctx, "notify")] == said, label


def messages() -> Iterator[tuple[str, str, bool]]:
    """Where the App shows a message, of which kind, and whether it is about an error."""
    for path in sorted((REPOSITORY / "fiftyone_gradcam/app").rglob("*.py")):
        tree = ast.parse(path.read_text())
        handlers = [x for x in ast.walk(tree) if isinstance(x, ast.ExceptHandler)]
        caught = {id(x) for handler in handlers for x in ast.walk(handler)}
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "ctx.ops.notify":
                kind = [x.value for x in call.keywords if x.arg == "variant"] + call.args[1:]
                place = f"{path.name}:{call.lineno}"
                yield place, ast.unparse(kind[0]).strip("'") if kind else "", id(call) in caught


def test_messages_about_errors_look_like_errors():
    """And no other message does, except where its words say what is missing."""
    found = [*messages()]
    assert len(found) > 10
    for place, kind, is_caught in found:
        assert kind in ("error", "success", "info", "VARIANTS[job.state]"), place
        assert not is_caught or kind == "error", place
    assert [x.partition(":")[0] for x, kind, caught in found if kind == "error" and not caught] == [
        "samples.py"
    ]
