"""The operator that predicts classes and computes heatmaps."""

from __future__ import annotations

from collections.abc import Iterator

from fiftyone.operators import types

from ...dataset.evaluation import count_mistakes
from ...dataset.fields import field_info, field_name
from ...dataset.run_fields import values_lost
from ...dataset.runs import list_runs, load_run, newest_run
from ...dataset.shown import active_heatmaps
from ...images.decoders import PILLOW, TORCHCODEC, has_torchcodec
from ...model.cached_weights import default_backbone
from ...progress import counted
from ..planned_colors import color_planned
from .backbone_fields import backbone_inputs, chosen_weights
from .forms import choice_input, heading, more, notice, refuse, text_input
from .labels import LABELS, label_of
from .predicted_fields import (
    DEFAULTS,
    PRETRAINED,
    field_names,
    pretrained_network,
    store_input,
)
from .recipe_fields import AUTO, AUTOMATIC_RESIZE, RESIZES
from .sample_fields import SELECTED
from .verb import Verb

KINDS = {
    "predicted": ("Heatmap of the predicted class", True),
    "label": ("Heatmap of the sample's own label", False),
    "runner_up": ("Heatmap of the second most likely class", False),
    "contrast": ("Contrast: predicted class minus own label, where they differ", False),
}
FIRST = ("predicted", "label")  # the other kinds are behind the switch
METHODS = {
    "gradcam": "Grad-CAM",
    "hirescam": "HiResCAM (differs from Grad-CAM for SqueezeNet, VGG, AlexNet and ViT)",
    "layercam": "LayerCAM",
    "gradcam++": "Grad-CAM++",
    "eigencam": "Eigen-CAM (the same for every class)",
    "scorecam": "Score-CAM (slow: hundreds of forward passes for each image)",
}
SCALES = {
    "image": "Each heatmap to its own maximum",
    "pair": "All heatmaps of a sample alike",
    "run": "All heatmaps alike",
}
PRECISIONS = {
    "tf32": "TF32",
    "float32": "float32 (slower)",
    "bfloat16": "bfloat16 (faster with large networks)",
}
DECODERS = {PILLOW: "Pillow", TORCHCODEC: "torchcodec (on the GPU)"}
INTERPOLATIONS = {"bicubic": "Bicubic", "bilinear": "Bilinear", "nearest": "Nearest"}
STORAGES = {"file": "PNG files", "database": "Values in the database"}
# Default options of heatmaps, the same as those of `predict`.
HOW = {
    "method": "gradcam",
    "signed": False,
    "scale": "image",
    "resolution": 224,
    "interpolation": "bicubic",
    "storage": "file",
}
MOST_CLASSES = 200  # maximum number of classes in a list


class Predict(Verb):
    """`predict` as an operator."""

    verb = "predict"
    label = "Predict with Grad-CAM heatmaps"
    action = "Predict"
    icon = "local_fire_department"
    description = "Store predictions, scores and Grad-CAM heatmaps"
    scope = SELECTED

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the classifier and heatmaps; the others are behind a switch."""
        samples = ctx.target_view()
        runs = list_runs(ctx.dataset)
        choices = {key: f"Run {key}" for key in reversed(runs)}
        choices[PRETRAINED] = "A pretrained classifier, with its 1,000 ImageNet classes"
        default = newest_run(ctx.dataset) or PRETRAINED
        choice_input(inputs, "run", choices, default, label_of("run", self.verb))
        run = ctx.params.get("run") or default
        if run == PRETRAINED:
            backbone_inputs(ctx, inputs, default_backbone(), from_scratch=False)
        if run == PRETRAINED or run in runs:  # otherwise the form refuses it
            store_input(ctx, inputs, run)
            names = " and ".join(field_names(ctx, run).values())
            notice(
                inputs,
                "summary",
                f"{counted(len(samples), 'image')}. The results are stored in {names}",
            )
        for kind in FIRST:
            inputs.bool(kind, default=KINDS[kind][1], label=KINDS[kind][0])
        _others_input(ctx, inputs, samples, run)
        if more(ctx, inputs):
            self._rest(ctx, inputs, run)

    def _rest(self, ctx, inputs: types.Object, run: str) -> None:
        for kind in (name for name in KINDS if name not in FIRST):
            inputs.bool(kind, default=KINDS[kind][1], label=KINDS[kind][0])
        if run == PRETRAINED:
            ways = {AUTO: AUTOMATIC_RESIZE, **RESIZES}
            choice_input(inputs, "resize", ways, AUTO, LABELS["resize"])
        elif run in list_runs(ctx.dataset):
            self._classes_input(inputs, ctx.dataset.get_run_info(run).config.classes)
        for name, field in field_names(ctx, run).items():
            text_input(ctx, inputs, f"{_default(run, name)}_to", LABELS[name], field)
        heading(inputs, "how", "How heatmaps are made")
        choice_input(inputs, "method", METHODS, HOW["method"], LABELS["method"])
        words = "In a second field, whose name ends in _against"
        inputs.bool("signed", default=False, label=LABELS["signed"], description=words)
        words = "A module of the network, such as layer3 or features.7"
        text_input(ctx, inputs, "layer", LABELS["layer"], "the last that has a map", words)
        choice_input(inputs, "scale", SCALES, HOW["scale"], label_of("scale", self.verb))
        words = "Of the longer side, in pixels"
        size = HOW["resolution"]
        inputs.int("resolution", default=size, min=8, label=LABELS["resolution"], description=words)
        choice_input(
            inputs,
            "interpolation",
            INTERPOLATIONS,
            HOW["interpolation"],
            LABELS["interpolation"],
        )
        choice_input(inputs, "storage", STORAGES, HOW["storage"], LABELS["storage"])
        inputs.int("batch_size", default=64, min=1, label=LABELS["batch_size"])
        choice_input(inputs, "precision", PRECISIONS, "tf32", LABELS["precision"])
        if has_torchcodec():
            choice_input(inputs, "decoder", DECODERS, PILLOW, LABELS["decoder"])

    def _classes_input(self, inputs: types.Object, classes: list[str]) -> None:
        if len(classes) > MOST_CLASSES:
            return
        view = types.DropdownView(multiple=True)
        for name in classes:
            view.add_choice(name, label=name)
        words = "Each sample gets one for each of these"
        inputs.list(
            "heatmap_classes",
            types.String(),
            label=LABELS["heatmap_classes"],
            description=words,
            view=view,
        )

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        params = ctx.params
        wanted = [kind for kind, (_, default) in KINDS.items() if params.get(kind, default)]
        options = {"heatmaps": tuple(wanted), **field_names(ctx, params["run"])}
        if params.get("overwrite"):
            options["overwrite"] = True
        names = ("batch_size", "precision", "method", "signed", "layer", "scale", "resolution")
        for name in (*names, "decoder", "interpolation", "storage", "heatmap_classes"):
            if params.get(name):
                options[name] = params[name]
        run = params["run"]
        if run == PRETRAINED:
            run = pretrained_network(ctx)
            options["weights"] = chosen_weights(ctx, run)
            options["resize"] = params.get("resize") or AUTO
        return {"samples": ctx.target_view(), "run": run, **options}

    def _queue(self, ctx, given: dict) -> Iterator:
        messages = super()._queue(ctx, given)  # called first, so that the App shows its errors
        return _all_of(color_planned(ctx, given), messages)

    def job_label(self, given: dict) -> str:
        """Name the classifier."""
        start = "Resume predicting" if given.get("resume") else "Predict"
        return f"{start} with {given['run']!r}"

    def outcome(self, result, given: dict) -> dict:
        """Show the predictions and the first kind of heatmap, and count the mistakes."""
        dataset, own = result._root_dataset, given["heatmap_field"]
        field = given["prediction_field"]
        maps = [own] if "predicted" in given["heatmaps"] else active_heatmaps(dataset)
        words, wrong = f"Predicted {counted(len(result), 'image')}", count_mistakes(result, field)
        if wrong is not None:
            words += f", {wrong:,} not as labeled" if wrong else ", none differs from its label"
        return {
            "summary": f"{words}. Turn heatmaps on and off at the top of the panel",
            "fields": [field, *maps],
            "mistakes": field if wrong else None,
        }


def _default(run: str, name: str) -> str:
    return DEFAULTS[run == PRETRAINED][name]


def _others_input(ctx, inputs: types.Object, samples, run: str) -> None:
    """Ask before predictions of other samples are deleted, by the same rule as `predict`."""
    if run != PRETRAINED and run not in list_runs(ctx.dataset):
        return  # the form refuses it
    found = values_lost(ctx.dataset, samples.values("id"), _wanted(ctx, run))
    if found is None:
        return
    owner, count = found
    words = f"Delete the values of {owner} for {counted(count, 'other sample')}"
    why = "A field holds the values of one run"
    inputs.bool("overwrite", default=False, label=words, description=why)
    if not ctx.params.get("overwrite"):
        refuse(inputs, "others", "Check the box to delete them, or store the predictions elsewhere")


def _wanted(ctx, run: str) -> dict[str, dict]:
    """Return the fields that would be written, and the facts stored with each."""
    params = ctx.params
    if run == PRETRAINED:
        backbone = pretrained_network(ctx)
        weights = chosen_weights(ctx, backbone) or "imagenet"
        facts = {"run": f"{backbone}/imagenet"}
        way = params.get("resize") or AUTO
        if way == AUTO:  # as in earlier predictions, or else determined from the images
            before = field_info(ctx.dataset, field_names(ctx, run)["prediction_field"])
            way = str(before.get("version")).rpartition(", ")[2]
        facts["version"] = f"{weights}, {way}"
    else:
        facts = {"run": run, "version": load_run(ctx.dataset, run).version}
    how = {name: params.get(name) or default for name, default in HOW.items()}
    if params.get("layer"):
        how["layer"] = params["layer"]
    names = field_names(ctx, run)
    maps = names["heatmap_field"]
    fields = {kind: f"{maps}_{kind}" for kind, (_, on) in KINDS.items() if params.get(kind, on)}
    if "predicted" in fields:
        fields["predicted"] = maps
    for name in params.get("heatmap_classes") or ():
        fields[f"class:{name}"] = f"{maps}_{field_name(name)}"
    found = {names["prediction_field"]: facts}
    return found | {name: {**facts, "heatmap": how} for name in fields.values()}


def _all_of(*messages: Iterator) -> Iterator:
    """Chain iterators of messages in a generator, whose messages FiftyOne sends one by one."""
    for own in messages:
        yield from own
