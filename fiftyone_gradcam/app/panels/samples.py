"""Show samples in the grid after a click in a tab."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ...dataset.evaluation import prediction_fields
from ...dataset.fields import field_info
from ...dataset.heatmaps import heatmap_fields
from ...dataset.views import mistakes
from ..showing import show, view_as_text


def show_samples(ctx, view, label_field: str, prediction_field: str) -> None:
    """Show samples with their labels, predictions, and heatmaps of these predictions.

    Args:
        ctx: the context of the panel
        view: the samples
        label_field, prediction_field: the fields to show
    """
    run = field_info(ctx.dataset, prediction_field).get("run")
    _show(ctx, view, [label_field, prediction_field], [run])


def show_mistakes(ctx, prediction_field: str) -> None:
    """Show the samples whose prediction differs from their label, the most confident first.

    Args:
        ctx: the context of the panel
        prediction_field: a field of predictions; it may be gone by now
    """
    if prediction_field not in prediction_fields(ctx.dataset):
        ctx.ops.notify(f"The field {prediction_field!r} was deleted. Predict again", "error")
        return
    label_field = field_info(ctx.dataset, prediction_field).get("label_field") or "ground_truth"
    show_samples(ctx, mistakes(ctx.dataset, prediction_field), label_field, prediction_field)


def show_runs(ctx, view, label_field: str, runs: Sequence[str]) -> None:
    """Show samples with their labels, and predictions and heatmaps of some runs if there are any.

    Args:
        ctx: the context of the panel
        view: the samples
        label_field: the field of the labels
        runs: keys of the runs; a heatmap of the first that has some is shown
    """
    names = prediction_fields(ctx.dataset)
    by_run = [x for run in runs for x in names if field_info(ctx.dataset, x).get("run") == run]
    _show(ctx, view, [label_field, *by_run], runs)


def _show(ctx, view, fields: Sequence[str], runs: Sequence[str | None]) -> None:
    known = heatmap_fields(ctx.dataset)
    maps = [x for run in runs for x in known if field_info(ctx.dataset, x).get("run") == run]
    outcome = {"view": view_as_text(view), "changed": False, "fields": [*fields, *maps[:1]]}
    deque(show(ctx, outcome), maxlen=0)
