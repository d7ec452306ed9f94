"""Fine-tune a classifier."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.runs import free_key
from .forms import (
    advanced,
    backbone_inputs,
    choice_input,
    chosen_weights,
    label_field_input,
    refuse,
)
from .verb import Verb

BACKBONES = {
    "resnet18": "resnet18 (good and quick)",
    "resnet50": "resnet50 (better, slower)",
    "mobilenet_v2": "mobilenet_v2 (small)",
    "squeezenet1_1": "squeezenet1_1 (smallest)",
    "googlenet": "googlenet",
    "vgg16": "vgg16 (large)",
    "small_cnn": "small_cnn (for small images, from scratch)",
}
RESIZES = {
    "squash": "squashing: the whole image, its aspect ratio lost",
    "crop": "cropping: the central square",
    "letterbox": "letterboxing: the whole image, bars beside it",
}


class FineTune(Verb):
    """`fine_tune` as an operator."""

    verb = "fine_tune"
    label = "Fine-tune a classifier"
    icon = "model_training"
    description = "Train a classifier on the samples tagged train, and record it as a run"

    def form(self, ctx, inputs: types.Object) -> None:
        """Key, backbone and epochs; the rest under Advanced."""
        target = ctx.target_view()
        label_field_input(ctx, inputs)
        tags = target.count_sample_tags()
        if not tags.get("train"):
            inputs.view(
                "no_train",
                types.Warning(
                    label="No sample here is tagged 'train'. Split the dataset first, or choose a "
                    "view to train on"
                ),
            )
        backbone_inputs(ctx, inputs, "resnet18", BACKBONES)
        inputs.int("epochs", default=5, min=1, label="Epochs")
        default = _default_key(ctx)
        inputs.str(
            "key",
            label="Name of the run",
            description="To call it up later",
            view=types.TextFieldView(placeholder=default),
        )
        key = ctx.params.get("key") or default
        if not key.isidentifier():
            refuse(inputs, "bad_key", "Use letters, digits and underscores in the name of the run")
        elif key in ctx.dataset.list_runs():
            refuse(inputs, "taken_key", f"Run {key!r} exists already. Choose another name")
        if advanced(ctx, inputs):
            inputs.int("batch_size", default=16, min=1, label="Batch size")
            inputs.float(
                "learning_rate",
                label="Learning rate",
                description="Default: 0.0001 with pretrained weights",
            )
            inputs.int("image_size", min=16, label="Image size", description="Default: 224")
            choice_input(inputs, "resize", RESIZES, "squash", "Images become square by")
            inputs.bool("horizontal_flip", default=True, label="Mirror images at random")
            inputs.int(
                "watch",
                min=0,
                label="Samples to watch",
                description="Keeps a heatmap of so many samples at each epoch, and a strip of them",
            )
            inputs.int("seed", default=0, min=0, label="Seed")

    def arguments(self, ctx) -> tuple[tuple, dict]:
        """As filled in."""
        params = ctx.params
        options = {"label_field": params["label_field"], "epochs": params.get("epochs") or 5}
        names = ("batch_size", "learning_rate", "image_size", "resize", "horizontal_flip")
        for name in (*names, "watch", "seed"):
            if params.get(name) is not None:
                options[name] = params[name]
        backbone = _backbone(ctx)
        return (ctx.target_view(), params.get("key") or _default_key(ctx)), {
            "backbone": backbone,
            "weights": chosen_weights(ctx, backbone),
            **options,
        }

    def summary(self, result) -> str:
        """How good it is."""
        strip = f". How the focus moved: {result.watch['strip']}" if result.watch else ""
        return f"Saved {result}{strip}. Predict with it next"


def _backbone(ctx) -> str:
    return ctx.params.get("backbone") or "resnet18"


def _default_key(ctx) -> str:
    """The backbone's name, with a number if there is a run of that name."""
    return free_key(ctx.dataset, _backbone(ctx))
