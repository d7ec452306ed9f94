"""Whatever can be chosen or clicked in the panel calls something."""

from collections.abc import Iterator

import pytest
from panel_contexts import context, make_dataset

from fiftyone_gradcam.dataset.run import Run
from fiftyone_gradcam.dataset.runs import save_run

# What is called by what can be chosen or clicked; some plots and tables are only looked at.
HANDLERS = {
    **dict.fromkeys(("TabsView", "DropdownView", "TextFieldView"), "on_change"),
    **{"Button": "operator", "TableView": "on_click_row", "TimerView": "on_interval"},
}


@pytest.fixture
def dataset(name):
    """With predictions, heatmaps and two runs."""
    dataset = make_dataset(name)
    for key in ("o", "p"):
        recipe = {"backbone": "small_cnn", "epochs": 1}
        save_run(dataset, Run(key, dataset.name, ["a", "b"], recipe, [], 1, "own", "/none"))
    return dataset


def handlers_of(properties: dict) -> Iterator[tuple[str, str, str | None]]:
    """Names of parts of a panel, what kind of part each is, and what it calls."""
    for name, part in properties.items():
        view = part["view"] or {}
        if (kind := view["name"]) in HANDLERS and name != "run_rows":
            found = part.get(HANDLERS[kind]) or view.get(HANDLERS[kind])
            yield name, kind, found and str(found).rpartition("#")[2]
        elif kind == "PlotlyView" and name in ("confusion", "bars"):
            yield name, kind, view.get("on_click")
        yield from handlers_of(part["type"].get("properties") or {})


def test_what_can_be_chosen_or_clicked_does_something(panel, dataset):
    kinds = set()
    for tab in ("jobs", "review", "runs", "evaluate", "scores"):
        state = {"tab": tab, "shows_actions": True}
        panel.read(context(dataset, state))
        drawn = panel.render(context(dataset, state)).to_json()
        found = [*handlers_of(drawn["type"]["properties"])]
        assert [x for x in found if not x[2]] == []
        kinds |= {kind for _, kind, _ in found}
    assert kinds == {*HANDLERS, "PlotlyView"}
