"""Find images that are unlike normal ones."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.fields import label_path
from ..showing import view_as_text
from .forms import choice_input, chosen_backbone, label_field_input, pretrained_inputs, refuse
from .verb import Verb

MOST_LISTED = 500  # labels of a drop-down list


class FindAnomalies(Verb):
    """`find_anomalies` as an operator."""

    verb = "find_anomalies"
    label = "Find anomalies"
    icon = "crisis_alert"
    description = "Score how unlike normal images each image is, and draw what is unusual"

    def form(self, ctx, inputs: types.Object) -> None:
        """Which label is normal, and the rate of false alarms."""
        ctx.target_view()
        name = label_field_input(ctx, inputs)
        if name is None:
            return
        labels = sorted(filter(None, ctx.dataset.distinct(label_path(ctx.dataset, name))))
        if not labels:
            refuse(inputs, "no_labels", f"No sample has a label in {name!r}")
            return
        shown = {label: label for label in labels[:MOST_LISTED]}
        choice_input(inputs, "normal", shown, None, "Normal", "The label of the normal images")
        inputs.float(
            "false_alarms",
            default=0.05,
            min=0.001,
            max=0.5,
            label="False alarms",
            description="Share of the normal images that are called anomalies",
        )
        inputs.bool("heatmaps", default=True, label="Draw what is unusual")
        pretrained_inputs(ctx, inputs)

    def arguments(self, ctx) -> dict:
        """As filled in."""
        params = ctx.params
        options = {
            "samples": ctx.target_view(),
            "normal": params["normal"],
            "label_field": params["label_field"],
            "false_alarms": params.get("false_alarms") or 0.05,
            "heatmaps": bool(params.get("heatmaps", True)),
        }
        return options | chosen_backbone(ctx)

    def outcome(self, result, given: dict) -> dict:
        """The samples, the most unusual first."""
        name = given["anomaly_field"]
        count = result.count_values(f"{name}.label").get("anomaly", 0)
        shown = [name, given["heatmap_field"]] if given["heatmaps"] else [name]
        return {
            "summary": f"{count} of {len(result)} images are anomalies, the most unusual first",
            "view": view_as_text(result),
            "fields": shown,
        }
