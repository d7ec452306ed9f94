"""The operator that finds images unlike normal ones."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.fields import label_path
from ...progress import counted
from ..showing import view_as_text
from .backbone_fields import chosen_backbone, pretrained_inputs
from .forms import more, refuse, search_input, wait_for
from .labels import LABELS
from .sample_fields import chosen_label_field, label_field_input
from .verb import Verb

MOST_LISTED = 500  # maximum number of labels in a drop-down list


class FindAnomalies(Verb):
    """`find_anomalies` as an operator."""

    verb = "find_anomalies"
    label = "Find anomalies"
    action = "Find"
    icon = "crisis_alert"
    description = "Score how unlike normal images each image is, and show what is unusual in it"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add the class of normal images; the other fields are behind a switch."""
        name = label_field_input(ctx, inputs, is_rare=True)
        if name is None:
            return
        labels = sorted(filter(None, ctx.dataset.distinct(label_path(ctx.dataset, name))))
        if not labels:
            refuse(inputs, "no_labels", f"No sample has a label in {name!r}")
            return
        shown = {label: label for label in labels[:MOST_LISTED]}
        words = "Images of this class are normal; others are compared with them"
        search_input(inputs, "normal", shown, None, LABELS["normal"], words)
        if not ctx.params.get("normal"):
            wait_for(inputs, "no_normal", "Choose the normal class")
        inputs.bool("heatmaps", default=True, label="Draw heatmaps of what is unusual")
        if more(ctx, inputs):
            inputs.float(
                "false_alarms",
                default=0.05,
                min=0.001,
                max=0.5,
                label=LABELS["false_alarms"],
                description="Share of the normal images that may be called anomalies",
            )
            pretrained_inputs(ctx, inputs)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        params = ctx.params
        options = {
            "samples": ctx.target_view(),
            "normal": params["normal"],
            "label_field": chosen_label_field(ctx),
            "false_alarms": params.get("false_alarms") or 0.05,
            "heatmaps": bool(params.get("heatmaps", True)),
        }
        return options | chosen_backbone(ctx)

    def outcome(self, result, given: dict) -> dict:
        """Show the samples, the most unusual first."""
        name = given["anomaly_field"]
        count = result.count_values(f"{name}.label").get("anomaly", 0)
        shown = [name, given["heatmap_field"]] if given["heatmaps"] else [name]
        return {
            "summary": f"{count} of {counted(len(result), 'image')} "
            f"{'is an anomaly' if count == 1 else 'are anomalies'}, the most unusual first",
            "view": view_as_text(result),
            "fields": shown,
        }
