"""What the tab Steps shows, for tests of it."""

from collections.abc import Iterator

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types
from made_runs import CLASSES
from panel_contexts import context

from fiftyone_gradcam.dataset.storing import Declared, declare


def form_context(dataset, **params) -> foo.executor.ExecutionContext:
    params = {"label_field": "ground_truth", **params}
    request = {"dataset_name": dataset.name, "params": params, "view_target": "DATASET"}
    uri = "@gradcam/classifier/fine_tune"
    return foo.executor.ExecutionContext(request_params=request, operator_uri=uri)


def drawn(panel, dataset, state) -> dict:
    """What the tab Steps shows, by name."""
    shown = types.Object()
    panel.draw_all_steps(context(dataset, state), shown)
    return shown.to_json()["properties"]


def texts_of(panel, dataset, state) -> str:
    found = drawn(panel, dataset, state)
    return "\n".join(str(x.get("default")) for x in found.values())


def buttons(shown: dict) -> Iterator[dict]:
    """All buttons below a part of a panel."""
    for one in shown.values():
        if one["view"] and one["view"]["name"] == "Button":
            yield one["view"]
        yield from buttons(one["type"].get("properties") or {})


def buttons_of(panel, dataset, state) -> list[str]:
    return [
        x["label"] for x in buttons(drawn(panel, dataset, state)) if x["label"] != "All actions"
    ]


def suspicious(dataset, count: int) -> None:
    """Let the first labels be suspicious."""
    facts = {"classes": CLASSES, "label_field": "ground_truth"}
    declare(dataset, "label_quality", Declared("float", "low is bad", facts, {}))
    declare(dataset, "suggested_label", Declared("classification", "another", facts, {}))
    other = fo.Classification(label="digit 2", confidence=0.9)
    values = [other.copy() if n < count else None for n in range(len(dataset))]
    dataset.set_values("suggested_label", values)
    dataset.set_values("label_quality", [0.1 if x else 0.9 for x in values])
