"""Colours of heatmaps when a dataset is opened, or when heatmaps are switched on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import fiftyone.operators as foo
from fiftyone.operators import types

# The App first draws a dataset with a scale of its own, which wins over one that is set before;
# and what it is drawing when a scale is set keeps the old one. So it is set again.
PAUSES_SECONDS = (1.5, 2.5, 4.0, 8.0)


class ApplyColorScale(foo.Operator):
    """Applies the colour scale that is stored on a dataset, which the App leaves out by itself.

    Or, with the parameter "scheme", the one that is given, at once.
    """

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists the operator."""
        return foo.OperatorConfig(
            name="apply_color_scale",
            label="Apply the dataset's color scale",
            unlisted=True,
            on_dataset_open=True,
            execute_as_generator=True,
            risk_level=types.RiskLevel.LOW,
        )

    def execute(self, ctx) -> Iterator:
        """Set the scale, and what makes it seen; no other colour setting is changed."""
        given = ctx.params.get("scheme")
        scheme = given or _stored(ctx.dataset)
        if scheme is None:
            return
        for seconds in (0, *PAUSES_SECONDS) if given else PAUSES_SECONDS:
            time.sleep(seconds)
            yield ctx.trigger("set_color_scheme", scheme)


def _stored(dataset) -> dict | None:
    scheme = dataset.app_config.color_scheme if dataset is not None else None
    name = (scheme.default_colorscale or {}).get("name") if scheme is not None else None
    if not name:
        return None
    stored = {"color_by": scheme.color_by, "opacity": scheme.opacity}
    stored = {key: value for key, value in stored.items() if value is not None}
    return {**stored, "default_colorscale_preset": name}
