"""Forms of operators without a browser, and why they cannot be submitted."""

import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_gradcam.app.operators import OPERATORS

BY_NAME: dict[str, foo.Operator] = {one().config.name: one() for one in OPERATORS}
ALWAYS = ("view_target", "opened_for")  # in forms of a dataset


def context(dataset, view=None, selected=(), **params) -> ExecutionContext:
    request = {"dataset_name": dataset.name, "params": params, "selected": list(selected)}
    if view is not None:
        request |= {"view": view._serialize(), "view_target": "CURRENT_VIEW"}
    return ExecutionContext(request, operator_uri="@gradcam/classifier/x")


def form(verb: str, dataset, view=None, selected=(), **params) -> dict[str, types.Property]:
    ctx = context(dataset, view, selected, **params)
    found = BY_NAME[verb].resolve_input(ctx).type.properties
    return {name: field for name, field in found.items() if name not in ALWAYS}


def errors(fields: dict[str, types.Property]) -> dict[str, str]:
    """Why a form cannot be submitted."""
    return {name: field.error_message for name, field in fields.items() if field.invalid}


def words(field: types.Property) -> str:
    return field.view.label.replace("\\", "")
