"""Find wrong labels."""

from __future__ import annotations

from fiftyone.operators import types

from ..showing import view_as_text
from .forms import (
    AUTOMATIC,
    FEATURES,
    backbone_inputs,
    chosen_features,
    label_field_input,
    more,
)
from .verb import Verb


class FindLabelIssues(Verb):
    """`find_label_issues` as an operator."""

    verb = "find_label_issues"
    label = "Find label issues"
    icon = "troubleshoot"
    description = "Score each label by a model that never saw its image"

    def form(self, ctx, inputs: types.Object) -> None:
        """Label field and backbone; the rest under Advanced."""
        ctx.target_view()
        label_field_input(ctx, inputs)
        backbone_inputs(ctx, inputs, AUTOMATIC, FEATURES)
        if more(ctx, inputs):
            inputs.int("folds", default=5, min=2, label="Folds")
            inputs.int(
                "epochs",
                min=1,
                label="Epochs",
                description="Of each training, where there are no pretrained weights. Default: 5, "
                "or more where images are few",
            )
            inputs.int("seed", default=0, min=0, label="Seed")

    def arguments(self, ctx) -> dict:
        """As filled in."""
        params = ctx.params
        options = {
            "samples": ctx.target_view(),
            "label_field": params["label_field"],
            "folds": params.get("folds") or 5,
            "seed": params.get("seed") or 0,
        }
        if params.get("epochs"):
            options["epochs"] = params["epochs"]
        return options | chosen_features(ctx)

    def outcome(self, result, given: dict) -> dict:
        """The samples, most suspicious first."""
        count = len(result.exists("suggested_label"))
        return {
            "summary": f"{len(result)} labels judged, the most suspicious first; another class is "
            f"more probable for {count} of them",
            "view": view_as_text(result),
            "fields": ["suggested_label", "label_quality"],
        }
