"""Colors of heatmaps that a job is going to write, given to the App before there are any.

The App reads the colors that are stored with a dataset when it opens it. Those that it is given
later take maps away from tiles that show some, so that these stay without heatmaps; where no tile
has a map yet, they do no harm.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..dataset.heatmap_choices import heatmap_names
from ..dataset.heatmaps import heatmap_fields
from ..dataset.run import Run
from ..dataset.runs import load_run
from ..dataset.shown import plan_colors
from .showing import give_colors


def color_planned(ctx, given: dict) -> Iterator:
    """Store the colors of the fields that `predict` is to write; messages that give them to the App
    too, if the dataset has no heatmaps.

    Args:
        ctx: of the operator
        given: arguments of `predict`
    """
    colors = plan_colors(ctx.dataset, planned_kinds(given), _classes(ctx, given.get("run")))
    if not heatmap_fields(ctx.dataset):
        message = give_colors(ctx, colors)
        if message is not None:
            yield message


def planned_kinds(given: dict) -> dict[str, str]:
    """The kind of each heatmap field that `predict` writes, by the name of the field.

    Args:
        given: its arguments
    """
    names = heatmap_names(
        given.get("heatmaps", ("predicted",)),
        given.get("heatmap_classes", ()),
        given.get("heatmap_field", "gradcam"),
        bool(given.get("signed")),
    )
    return {name: kind for kind, name in names.items()}


def _classes(ctx, run: object) -> list[str]:
    """Classes of a run, whose order tells their colors apart; none of a run that is to come."""
    try:
        return load_run(ctx.dataset, run).classes if isinstance(run, str | Run) else []
    except ValueError:
        return []
