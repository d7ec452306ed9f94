"""The row above all tabs that switches the heatmaps of the grid, and explains their colors.

It is drawn by `heatmaps.js`, which knows what the App shows and in which colors. Without this
script, users can still use the checkboxes in the App's sidebar.
"""

from __future__ import annotations

import time
from dataclasses import asdict

from fiftyone.operators import types

from ...dataset.heatmap_choices import heatmap_choices
from ..showing import color_heatmaps, lacking_colors

ROW = "GradcamHeatmaps"
# Tiles lose their heatmaps if colors are set while they load: colors are set this long before.
PAINT_SECONDS = 1.5
LOAD_SECONDS = 8.0


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

    def color(self, ctx) -> bool:
        """Set the colors of heatmaps that are new to the App.

        Returns:
            whether there are colors that the App does not show yet
        """
        state = ctx.panel.state
        known = state.colored or []
        lacking = lacking_colors(ctx, known)
        if lacking and time.time() > (state.loaded or 0) + LOAD_SECONDS:  # all tiles are loaded
            color_heatmaps(ctx, lacking)
            state.colored, state.colored_at = [*known, *lacking], time.time()
        return bool(lacking)

    def repaint(self, ctx) -> None:
        """Reload the tiles after colors were set, because some may have been loading then."""
        state = ctx.panel.state
        waits = self.color(ctx) or time.time() < (state.colored_at or 0) + PAINT_SECONDS
        if not waits:
            state.repainting = None
            ctx.ops.reload_samples()
        state.is_busy = state.is_busy or waits
