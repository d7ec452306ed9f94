"""The row above all tabs that switches the heatmaps of the whole grid, and says what they mean.

It is drawn by `heatmaps.js`, which sees what the App shows and in which colors; without it, the
sidebar of the App has a checkbox for each field.
"""

from __future__ import annotations

from dataclasses import asdict

from fiftyone.operators import types

from ...dataset.heatmap_choices import heatmap_choices

ROW = "GradcamHeatmaps"


class HeatmapsRow:
    """Reads and draws."""

    def read_heatmaps(self, ctx) -> None:
        """Put what can be shown into the panel's state."""
        choices = heatmap_choices(ctx.dataset)
        ctx.panel.state.heatmaps = [asdict(one) for one in choices]

    def draw_heatmaps(self, ctx, panel: types.Object) -> None:
        """Draw the row; nothing where there are no heatmaps."""
        if choices := ctx.panel.state.heatmaps:
            view = types.View(component=ROW, composite_view=True, choices=choices)
            panel.define_property("heatmaps_row", types.Object(), view=view)
