"""Predict and explain."""

from __future__ import annotations

from collections.abc import Iterator

from fiftyone.operators import types

from ...dataset.fields import HEATMAP_COLORS, HEATMAP_OPACITY
from ...dataset.runs import list_runs
from .fine_tune import BACKBONES, RESIZES
from .forms import advanced, backbone_inputs, choice_input, chosen_weights
from .verb import Verb

PRETRAINED = "pretrained classifier"
KINDS = {
    "predicted": ("Heatmap of the predicted class", True),
    "label": ("Heatmap of the sample's own label", False),
    "runner_up": ("Heatmap of the second most probable class", False),
    "contrast": ("Contrast: predicted class minus own label, where they differ", False),
}
METHODS = {
    "gradcam": "Grad-CAM",
    "hirescam": "HiResCAM (equals Grad-CAM but for SqueezeNet, VGG, AlexNet and ViT)",
    "layercam": "LayerCAM",
    "gradcam++": "Grad-CAM++",
    "eigencam": "Eigen-CAM (the same for every class)",
    "scorecam": "Score-CAM (slow: hundreds of forward passes for each image)",
}
SCALES = {
    "image": "each heatmap by its own peak",
    "pair": "all heatmaps of a sample alike",
    "run": "all heatmaps alike",
}
MOST_CLASSES = 200  # in a list to choose from


class Predict(Verb):
    """`predict` as an operator."""

    verb = "predict"
    label = "Predict with Grad-CAM heatmaps"
    icon = "local_fire_department"
    description = "Store predictions, scores and Grad-CAM heatmaps"

    def form(self, ctx, inputs: types.Object) -> None:
        """Classifier and heatmaps; the rest under Advanced."""
        ctx.target_view()
        runs = list_runs(ctx.dataset)
        choices = {key: key for key in runs}
        choices[PRETRAINED] = "A pretrained classifier, with its 1,000 ImageNet classes"
        default = runs[-1] if runs else PRETRAINED
        choice_input(inputs, "run", choices, default, "Classifier", "A run, or a network as it is")
        run = ctx.params.get("run") or default
        if run == PRETRAINED:
            networks = {k: v for k, v in BACKBONES.items() if k != "small_cnn"}
            backbone_inputs(ctx, inputs, "resnet18", networks, from_scratch=False)
        for kind, (label, wanted) in KINDS.items():
            inputs.bool(kind, default=wanted, label=label)
        if advanced(ctx, inputs):
            self._advanced(ctx, inputs, run)

    def _advanced(self, ctx, inputs: types.Object, run: str) -> None:
        if run == PRETRAINED:
            choice_input(inputs, "resize", RESIZES, "squash", "Images become square by")
        else:
            classes = ctx.dataset.get_run_info(run).config.classes
            if len(classes) <= MOST_CLASSES:
                view = types.DropdownView(multiple=True)
                for name in classes:
                    view.add_choice(name, label=name)
                inputs.list(
                    "heatmap_classes",
                    types.String(),
                    label="Heatmaps of these classes too",
                    description="For every sample, whatever it is",
                    view=view,
                )
        choice_input(inputs, "method", METHODS, "gradcam", "Method")
        inputs.bool("signed", default=False, label="Also show what speaks against the class")
        inputs.str("layer", label="Layer", description="Default: the last one with a map")
        choice_input(inputs, "scale", SCALES, "image", "Scale")
        inputs.int(
            "resolution", default=224, min=8, label="Resolution", description="Of the longer side"
        )
        names = ("bicubic", "bilinear", "nearest")
        choice_input(inputs, "interpolation", {n: n for n in names}, "bicubic", "Interpolation")
        storages = {"file": "PNG files", "database": "in the database"}
        choice_input(inputs, "storage", storages, "file", "Store heatmaps as")
        inputs.str("prediction_field", default="prediction", label="Field for predictions")
        inputs.str("heatmap_field", default="gradcam", label="Field for heatmaps")
        inputs.int("batch_size", default=16, min=1, label="Batch size")

    def arguments(self, ctx) -> tuple[tuple, dict]:
        """As filled in."""
        params = ctx.params
        wanted = [kind for kind, (_, default) in KINDS.items() if params.get(kind, default)]
        options = {
            "heatmaps": tuple(wanted),
            "prediction_field": params.get("prediction_field") or "prediction",
            "heatmap_field": params.get("heatmap_field") or "gradcam",
        }
        names = ("batch_size", "method", "signed", "layer", "scale", "resolution")
        for name in (*names, "interpolation", "storage", "heatmap_classes"):
            if params.get(name):
                options[name] = params[name]
        run = params["run"]
        if run == PRETRAINED:
            run = params.get("backbone") or "resnet18"
            options["weights"] = chosen_weights(ctx, run)
            options["resize"] = params.get("resize") or "squash"
        return (ctx.target_view(), run), options

    def summary(self, result) -> str:
        """How many there are."""
        return f"Predicted {len(result)} images"

    def show(self, ctx, result) -> Iterator:
        """Bring the heatmaps to sight."""
        _, chosen = self.arguments(ctx)
        shown = [chosen["prediction_field"]]
        if chosen["heatmaps"]:
            first = chosen["heatmaps"][0]
            suffix = "" if first == "predicted" else f"_{first}"
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
