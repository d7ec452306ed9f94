"""Predict and explain."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from fiftyone.operators import types

from ...dataset.fields import field_info, field_name
from ...dataset.run_fields import values_lost
from ...dataset.runs import list_runs, load_run
from ...dataset.shown import active_heatmaps
from ..planned_colors import color_planned
from .fine_tune import BACKBONES
from .forms import backbone_inputs, choice_input, chosen_weights, more, refuse
from .recipe_fields import AUTO, AUTOMATIC_RESIZE, RESIZES
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
PRECISIONS = {
    "tf32": "TF32",
    "float32": "float32 (slower)",
    "bfloat16": "bfloat16 (faster with large networks)",
}
# How heatmaps are made unless something else is chosen; `predict` has the same defaults.
HOW = {
    "method": "gradcam",
    "signed": False,
    "scale": "image",
    "resolution": 224,
    "interpolation": "bicubic",
    "storage": "file",
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
        samples = ctx.target_view()
        runs = list_runs(ctx.dataset)
        choices = {key: key for key in runs}
        choices[PRETRAINED] = "A pretrained classifier, with its 1,000 ImageNet classes"
        default = runs[-1] if runs else PRETRAINED
        choice_input(inputs, "run", choices, default, "Classifier", "A run, or a network as it is")
        run = ctx.params.get("run") or default
        if run == PRETRAINED:
            networks = {k: v for k, v in BACKBONES.items() if k != "small_cnn"}
            backbone_inputs(ctx, inputs, "resnet18", networks, from_scratch=False)
            # Fields of its own, or it would replace the results of a run unasked.
            self._fields(inputs, "imagenet", "imagenet_cam")
        for kind, (label, wanted) in KINDS.items():
            inputs.bool(kind, default=wanted, label=label)
        _others_input(ctx, inputs, samples, run)
        if more(ctx, inputs):
            self._advanced(ctx, inputs, run)

    def _advanced(self, ctx, inputs: types.Object, run: str) -> None:
        if run == PRETRAINED:
            ways = {AUTO: AUTOMATIC_RESIZE, **RESIZES}
            choice_input(inputs, "resize", ways, AUTO, "Images become square by")
        else:
            self._fields(inputs, "prediction", "gradcam")
            classes = ctx.dataset.get_run_info(run).config.classes
            if len(classes) <= MOST_CLASSES:
                view = types.DropdownView(multiple=True)
                for name in classes:
                    view.add_choice(name, label=name)
                inputs.list(
                    "heatmap_classes",
                    types.String(),
                    label="Heatmaps of these classes too",
                    description="Each sample gets one of each",
                    view=view,
                )
        choice_input(inputs, "method", METHODS, "gradcam", "Method")
        inputs.bool(
            "signed",
            default=False,
            label="Also show what speaks against the class",
            description="In a second field, whose name ends in _against",
        )
        inputs.str(
            "layer",
            label="Layer",
            description="A module, such as layer3 or features.7. Default: the last that has a map",
        )
        choice_input(inputs, "scale", SCALES, "image", "Scale")
        inputs.int(
            "resolution",
            default=224,
            min=8,
            label="Resolution",
            description="Of the heatmap's longer side, in pixels",
        )
        names = ("bicubic", "bilinear", "nearest")
        choice_input(inputs, "interpolation", {n: n for n in names}, "bicubic", "Interpolation")
        storages = {"file": "PNG files", "database": "in the database"}
        choice_input(inputs, "storage", storages, "file", "Store heatmaps as")
        inputs.int("batch_size", default=64, min=1, label="Batch size")
        choice_input(inputs, "precision", PRECISIONS, "tf32", "Precision on a GPU")

    def _fields(self, inputs: types.Object, prediction_field: str, heatmap_field: str) -> None:
        # Names of their own for each default: the form keeps what it was first filled with.
        inputs.str(
            f"{prediction_field}_to", default=prediction_field, label="Field for predictions"
        )
        inputs.str(f"{heatmap_field}_to", default=heatmap_field, label="Field for heatmaps")

    def arguments(self, ctx) -> dict:
        """As filled in."""
        params = ctx.params
        wanted = [kind for kind, (_, default) in KINDS.items() if params.get(kind, default)]
        options = {"heatmaps": tuple(wanted), **_field_names(params, params["run"])}
        if params.get("overwrite"):
            options["overwrite"] = True
        names = ("batch_size", "precision", "method", "signed", "layer", "scale", "resolution")
        for name in (*names, "interpolation", "storage", "heatmap_classes"):
            if params.get(name):
                options[name] = params[name]
        run = params["run"]
        if run == PRETRAINED:
            run = params.get("backbone") or "resnet18"
            options["weights"] = chosen_weights(ctx, run)
            options["resize"] = params.get("resize") or AUTO
        return {"samples": ctx.target_view(), "run": run, **options}

    def _queue(self, ctx, given: dict) -> Iterator:
        messages = super()._queue(ctx, given)  # at once: the App shows what it raises
        return chain(color_planned(ctx, given), messages)

    def job_label(self, given: dict) -> str:
        """Names the classifier."""
        return f"Predict with {given['run']!r}"

    def outcome(self, result, given: dict) -> dict:
        """Predictions, and the first kind of heatmap."""
        maps = active_heatmaps(result._root_dataset)
        return {
            "summary": f"Predicted {len(result)} images. Heatmaps are switched on and off in the "
            f"sidebar",
            "fields": [given["prediction_field"], *maps],
        }


def _field_names(params: dict, run: str) -> dict[str, str]:
    """Where predictions and heatmaps of the predicted class go."""
    defaults = ("imagenet", "imagenet_cam") if run == PRETRAINED else ("prediction", "gradcam")
    names = zip(("prediction_field", "heatmap_field"), defaults, strict=True)
    return {
        name: params.get(name) or params.get(f"{default}_to") or default for name, default in names
    }


def _others_input(ctx, inputs: types.Object, samples, run: str) -> None:
    """Ask before what was said of other samples is deleted, by the rule of `predict`."""
    if run != PRETRAINED and run not in list_runs(ctx.dataset):
        return  # the form refuses it
    found = values_lost(ctx.dataset, samples.values("id"), _wanted(ctx, run))
    if found is None:
        return
    owner, count = found
    label = f"Delete what {owner!r} says of {count} other samples: a field holds one run's values"
    inputs.bool("overwrite", default=False, label=label)
    if not ctx.params.get("overwrite"):
        refuse(inputs, "others", "Delete them, or choose other fields under Advanced")


def _wanted(ctx, run: str) -> dict[str, dict]:
    """The fields that would be written, and what would be noted of each."""
    params = ctx.params
    if run == PRETRAINED:
        backbone = params.get("backbone") or "resnet18"
        weights = chosen_weights(ctx, backbone) or "imagenet"
        facts = {"run": f"{backbone}/imagenet"}
        way = params.get("resize") or AUTO
        if way == AUTO:  # as before, or else as the images ask for
            before = field_info(ctx.dataset, _field_names(params, run)["prediction_field"])
            way = str(before.get("version")).rpartition(", ")[2]
        facts["version"] = f"{weights}, {way}"
    else:
        facts = {"run": run, "version": load_run(ctx.dataset, run).version}
    how = {name: params.get(name) or default for name, default in HOW.items()}
    if params.get("layer"):
        how["layer"] = params["layer"]
    names = _field_names(params, run)
    maps = names["heatmap_field"]
    fields = {kind: f"{maps}_{kind}" for kind, (_, on) in KINDS.items() if params.get(kind, on)}
    if "predicted" in fields:
        fields["predicted"] = maps
    for name in params.get("heatmap_classes") or ():
        fields[f"class:{name}"] = f"{maps}_{field_name(name)}"
    found = {names["prediction_field"]: facts}
    return found | {name: {**facts, "heatmap": how} for name in fields.values()}
