"""Show samples in the grid after a click in a tab."""

from __future__ import annotations

from collections import deque

from ...dataset.fields import field_info
from ...dataset.heatmaps import heatmap_fields
from ..showing import show, view_as_text


def show_samples(ctx, view, label_field: str, prediction_field: str) -> None:
    """Show samples with their labels, predictions, and heatmaps of these predictions.

    Args:
        ctx: the context of the panel
        view: the samples
        label_field, prediction_field: the fields to show
    """
    dataset = ctx.dataset
    run = field_info(dataset, prediction_field).get("run")
    maps = [x for x in heatmap_fields(dataset) if field_info(dataset, x).get("run") == run]
    outcome = {"view": view_as_text(view), "changed": False}
    outcome["fields"] = [label_field, prediction_field, *maps[:1]]
    deque(show(ctx, outcome), maxlen=0)
