"""Set the colors of heatmaps that a job will write, before any of them exists.

The App reads stored colors when it opens a dataset. If colors are set later, tiles that show
heatmaps lose them. This does no harm as long as no tile has a heatmap.
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
    """Store the colors of the fields that `predict` will write.

    Args:
        ctx: the context of the operator
        given: the arguments of `predict`

    Yields:
        messages that also set the colors in the App, if the dataset has no heatmaps
    """
    colors = plan_colors(ctx.dataset, planned_kinds(given), _classes(ctx, given.get("run")))
    if not heatmap_fields(ctx.dataset):
        message = give_colors(ctx, colors)
        if message is not None:
            yield message


def planned_kinds(given: dict) -> dict[str, str]:
    """Return the kind of each heatmap field that `predict` writes, by field name.

    Args:
        given: the arguments of `predict`
    """
    names = heatmap_names(
        given.get("heatmaps", ("predicted",)),
        given.get("heatmap_classes", ()),
        given.get("heatmap_field", "gradcam"),
        bool(given.get("signed")),
    )
    return {name: kind for kind, name in names.items()}


def _classes(ctx, run: object) -> list[str]:
    """Return the classes of a run, whose order determines colors; [] if it does not exist yet."""
    try:
        return load_run(ctx.dataset, run).classes if isinstance(run, str | Run) else []
    except ValueError:
        return []
