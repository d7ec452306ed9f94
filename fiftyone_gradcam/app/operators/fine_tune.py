"""Fine-tune a classifier."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.runs import free_key
from ...model.known_recipes import RECIPES
from .forms import (
    AUTOMATIC,
    advanced,
    backbone_inputs,
    choice_input,
    chosen_recipe,
    chosen_weights,
    label_field_input,
    new_key_check,
    recipe_inputs,
)
from .training_summary import summary_view
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
FREEZES = {
    "none": "nothing: all layers learn",
    "backbone": "all but the new layers: quick, for few images",
}
SWITCHES = {"yes": True, "no": False}
ADVANCED = (
    *("batch_size", "learning_rate", "image_size", "resize", "freeze", "horizontal_flip"),
    *("images_per_class", "seed"),
)
# Of `Recipe`, which imports torch; a test holds them to it.
DEFAULTS = {
    "backbone": "resnet18",
    "weights": "imagenet",
    "batch_size": 16,
    "freeze": "none",
    "horizontal_flip": True,
}


class FineTune(Verb):
    """`fine_tune` as an operator."""

    verb = "fine_tune"
    label = "Fine-tune a classifier"
    icon = "model_training"
    description = "Train a classifier on the samples tagged train, and record it as a run"

    def form(self, ctx, inputs: types.Object) -> None:
        """Recipe, backbone, epochs and key; the rest under Advanced."""
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
        recipe = network_inputs(ctx, inputs)
        automatic = "5, or more where images are few"
        epochs = _choice(recipe, "epochs") or automatic
        inputs.int("epochs", min=1, label="Epochs", description=f"Default: {epochs}")
        default = _default_key(ctx)
        inputs.str(
            "key",
            label="Name of the run",
            description="To call it up later",
            view=types.TextFieldView(placeholder=default),
        )
        new_key_check(ctx, inputs, ctx.params.get("key"))
        if advanced(ctx, inputs):
            _advanced_inputs(inputs, recipe)
        if ctx.params.get("label_field"):
            summary_view(inputs, self.arguments(ctx))

    def arguments(self, ctx) -> dict:
        """As filled in; what was left empty is as in the recipe."""
        params = ctx.params
        given = {name: params.get(name) for name in ("epochs", "watch", *ADVANCED)}
        given = {name: value for name, value in given.items() if value not in (None, AUTOMATIC)}
        given = {name: SWITCHES.get(value, value) for name, value in given.items()}
        return {
            "samples": ctx.target_view(),
            "key": params.get("key") or _default_key(ctx),
            "recipe": chosen_recipe(ctx),
            "label_field": params["label_field"],
            **given,
            **network_choices(ctx),
        }

    def job_label(self, given: dict) -> str:
        """Names the run."""
        return f"Fine-tune {given['key']!r}"

    def outcome(self, result, given: dict) -> dict:
        """How good it is."""
        outcome = {"summary": f"Saved {result}", "run": result.key}
        return outcome | ({"picture": result.watch["strip"]} if result.watch else {})


def _advanced_inputs(inputs: types.Object, recipe: str) -> None:
    inputs.int("batch_size", min=1, label="Batch size", description=_default(recipe, "batch_size"))
    inputs.float(
        "learning_rate",
        label="Learning rate",
        description=_default(recipe, "learning_rate", "0.0001 with pretrained weights"),
    )
    inputs.int(
        "image_size",
        min=16,
        label="Image size",
        description=_default(recipe, "image_size", "the backbone's, mostly 224"),
    )
    own = RESIZES.get(_choice(recipe, "resize"), "cropping for pretrained weights, else squashing")
    resizes = {AUTOMATIC: f"as in the recipe ({own})", **RESIZES}
    choice_input(inputs, "resize", resizes, AUTOMATIC, "Images become square by", required=False)
    frozen = _choice(recipe, "freeze")
    own = FREEZES.get(frozen, f"the first {frozen} stages")
    freezes = {AUTOMATIC: f"as in the recipe ({own})", **FREEZES}
    choice_input(inputs, "freeze", freezes, AUTOMATIC, "Frozen", required=False)
    mirrored = "yes" if _choice(recipe, "horizontal_flip") else "no"
    switch = {AUTOMATIC: f"as in the recipe ({mirrored})", "yes": "yes", "no": "no"}
    flips = "Mirror images at random"
    choice_input(inputs, "horizontal_flip", switch, AUTOMATIC, flips, required=False)
    inputs.int(
        "images_per_class",
        min=1,
        label="Images per class",
        description="For a quick try: train on so many of each class. Default: all",
    )
    inputs.int(
        "watch",
        min=0,
        label="Samples to watch",
        description="Keeps a heatmap of so many samples at each epoch, and a strip of them",
    )
    inputs.int("seed", default=0, min=0, label="Seed")


def network_inputs(ctx, inputs: types.Object) -> str:
    """Let the user choose a recipe, and another backbone or weights; returns the recipe's name."""
    recipe = recipe_inputs(ctx, inputs)
    own = {name: _choice(recipe, name) for name in ("backbone", "weights")}
    backbones = {AUTOMATIC: f"as in the recipe ({own['backbone']})", **BACKBONES}
    backbone_inputs(ctx, inputs, AUTOMATIC, backbones, recipe=own)
    return recipe


def network_choices(ctx) -> dict[str, str]:
    """What was chosen instead of the recipe's backbone and weights."""
    given, backbone = {}, _backbone(ctx)
    if ctx.params.get("backbone", AUTOMATIC) != AUTOMATIC:
        given["backbone"] = backbone
    if ctx.params.get("weights", AUTOMATIC) != AUTOMATIC or backbone == "small_cnn":
        given["weights"] = chosen_weights(ctx, backbone)
    return given


def _choice(recipe: str, name: str, default: object = None) -> object:
    """A choice of a recipe; torch is not needed for it."""
    return RECIPES[recipe].choices.get(name, DEFAULTS.get(name, default))


def _default(recipe: str, name: str, default: object = None) -> str:
    return f"Default: {_choice(recipe, name, default)}"


def _backbone(ctx) -> str:
    chosen = ctx.params.get("backbone") or AUTOMATIC
    return _choice(chosen_recipe(ctx), "backbone") if chosen == AUTOMATIC else chosen


def _default_key(ctx) -> str:
    """The backbone's name, with a number if there is a run of that name."""
    return free_key(ctx.dataset, _backbone(ctx))
