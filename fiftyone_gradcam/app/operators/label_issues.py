"""Find wrong labels, and images that are in two splits."""

from __future__ import annotations

from fiftyone.operators import types

from ..showing import view_as_text
from .forms import AUTOMATIC, backbone_inputs, chosen_weights, label_field_input, more
from .verb import Verb

BACKBONES = {
    AUTOMATIC: "Automatic: what is at hand",
    "mobilenet_v2": "mobilenet_v2",
    "squeezenet1_1": "squeezenet1_1",
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "small_cnn": "small_cnn (for small images)",
}


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
        backbone_inputs(ctx, inputs, AUTOMATIC, BACKBONES)
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
        backbone = params.get("backbone") or AUTOMATIC
        if backbone != AUTOMATIC:
            options |= {"backbone": backbone, "weights": chosen_weights(ctx, backbone)}
        return options

    def outcome(self, result, given: dict) -> dict:
        """The samples, most suspicious first."""
        count = len(result.exists("suggested_label"))
        return {
            "summary": f"{len(result)} labels judged, the most suspicious first; another class is "
            f"more probable for {count} of them",
            "view": view_as_text(result),
            "fields": ["suggested_label", "label_quality"],
        }


class FindLeaks(Verb):
    """`find_leaks` as an operator."""

    verb = "find_leaks"
    label = "Find leaks between splits"
    icon = "water_drop"
    description = "Find images that are in two splits: equal files, and near duplicates"

    def form(self, ctx, inputs: types.Object) -> None:
        """Whether near duplicates are looked for, and by which backbone."""
        ctx.target_view()
        near = "Near duplicates too: re-encoded, resized or slightly cropped images"
        inputs.bool("near", default=True, label=near)
        if ctx.params.get("near", True):
            networks = {name: x for name, x in BACKBONES.items() if name != "small_cnn"}
            backbone_inputs(ctx, inputs, AUTOMATIC, networks, from_scratch=False)

    def arguments(self, ctx) -> dict:
        """As filled in."""
        params, near = ctx.params, bool(ctx.params.get("near", True))
        options = {"samples": ctx.target_view(), "near": near}
        backbone = params.get("backbone") or AUTOMATIC
        if near and backbone != AUTOMATIC:
            options |= {"backbone": backbone, "weights": chosen_weights(ctx, backbone)}
        return options

    def outcome(self, result, given: dict) -> dict:
        """The images that have a twin, twins beside each other."""
        count = len(result)
        if not count:
            return {"summary": "No image is in two splits"}
        return {
            "summary": f"{count} images have a twin in another split; twins stand beside each "
            f"other",
            "view": view_as_text(result),
            "fields": ["leak"],
        }
