"""The row above all tabs that switches the heatmaps of the grid, and explains their colors.

It is drawn by `heatmaps.js`, which knows what the App shows and in which colors. Without this
script, users can still use the checkboxes in the App's sidebar.
"""

from __future__ import annotations

from dataclasses import asdict

from fiftyone.operators import types

from ...dataset.heatmap_choices import heatmap_choices

ROW = "GradcamHeatmaps"


class HeatmapsRow:
    """The row of heatmaps: it reads the choices and draws them."""

    def read_heatmaps(self, ctx) -> None:
        """Store the available heatmaps in the panel's state."""
        choices = heatmap_choices(ctx.dataset)
        ctx.panel.state.heatmaps = [asdict(one) for one in choices]

    def draw_heatmaps(self, ctx, panel: types.Object) -> None:
        """Draw the row, if there are heatmaps."""
        if choices := ctx.panel.state.heatmaps:
            view = types.View(component=ROW, composite_view=True, choices=choices)
            panel.define_property("heatmaps_row", types.Object(), view=view)
