"""Predict and explain."""

from __future__ import annotations

from collections.abc import Iterator

from fiftyone.operators import types

from ...dataset.fields import HEATMAP_COLORS, HEATMAP_OPACITY
from ...dataset.runs import list_runs
from .forms import advanced, choice_input, refuse
from .verb import Verb


class Predict(Verb):
    """`predict` as an operator."""

    verb = "predict"
    label = "Predict with Grad-CAM heatmaps"
    icon = "local_fire_department"
    description = "Store predictions, scores and Grad-CAM heatmaps of a run"

    def form(self, ctx, inputs: types.Object) -> None:
        """Run and heatmaps; field names under Advanced."""
        ctx.target_view()
        runs = list_runs(ctx.dataset)
        if not runs:
            refuse(inputs, "no_runs", "There is no trained classifier yet. Fine-tune one first")
            return
        choice_input(
            inputs, "run", {key: key for key in runs}, runs[-1], "Run", "The trained classifier"
        )
        inputs.bool("predicted", default=True, label="Heatmap of the predicted class")
        inputs.bool(
            "own", default=False, label="Heatmap of the sample's own label, beside the predicted"
        )
        if advanced(ctx, inputs):
            inputs.str("prediction_field", default="prediction", label="Field for predictions")
            inputs.str("heatmap_field", default="gradcam", label="Field for heatmaps")
            inputs.int("batch_size", default=16, min=1, label="Batch size")

    def arguments(self, ctx) -> tuple[tuple, dict]:
        """As filled in."""
        params = ctx.params
        kinds = {"predicted": params.get("predicted", True), "label": params.get("own", False)}
        return (ctx.target_view(), params["run"]), {
            "heatmaps": tuple(kind for kind, wanted in kinds.items() if wanted),
            "prediction_field": params.get("prediction_field") or "prediction",
            "heatmap_field": params.get("heatmap_field") or "gradcam",
            "batch_size": params.get("batch_size") or 16,
        }

    def summary(self, result) -> str:
        """How many there are."""
        return f"Predicted {len(result)} images"

    def show(self, ctx, result) -> Iterator:
        """Bring the heatmaps to sight."""
        _, chosen = self.arguments(ctx)
        shown = [chosen["prediction_field"]]
        if chosen["heatmaps"]:
            suffix = "" if "predicted" in chosen["heatmaps"] else "_label"
            shown.append(chosen["heatmap_field"] + suffix)
        yield ctx.ops.reload_dataset()
        yield ctx.ops.set_active_fields([*dict.fromkeys([*ctx.active_fields, *shown])])
        if chosen["heatmaps"]:
            yield ctx.trigger(
                "set_color_scheme",
                {
                    "color_by": "value",
                    "default_colorscale_preset": HEATMAP_COLORS,
                    "opacity": HEATMAP_OPACITY,
                },
            )
