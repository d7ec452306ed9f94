"""Colours of heatmaps when a dataset is opened."""

from __future__ import annotations

import time

import fiftyone.operators as foo
from fiftyone.operators import types

SECONDS_TO_FIRST_DRAWING = 1.5


class ApplyColorScale(foo.Operator):
    """Applies the colour scale that is stored on a dataset, which the App leaves out by itself."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists the operator."""
        return foo.OperatorConfig(
            name="apply_color_scale",
            label="Apply the dataset's color scale",
            unlisted=True,
            on_dataset_open=True,
            risk_level=types.RiskLevel.LOW,
        )

    def execute(self, ctx) -> None:
        """Set the stored scale, and what makes it seen; no other colour setting is changed."""
        scheme = ctx.dataset.app_config.color_scheme if ctx.dataset is not None else None
        name = (scheme.default_colorscale or {}).get("name") if scheme is not None else None
        if name:
            # The App first draws the dataset with a scale of its own, which would win.
            time.sleep(SECONDS_TO_FIRST_DRAWING)
            stored = {"color_by": scheme.color_by, "opacity": scheme.opacity}
            stored = {key: value for key, value in stored.items() if value is not None}
            ctx.trigger("set_color_scheme", {**stored, "default_colorscale_preset": name})
