"""Fine-tune a classifier."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.runs import free_key
from .forms import (
    AUTOMATIC,
    backbone_inputs,
    chosen_recipe,
    chosen_weights,
    excluded_input,
    label_field_input,
    more,
    new_key_check,
    recipe_inputs,
)
from .recipe_fields import AUGMENTATION, LEARNING, choice_inputs, chosen, recipe_value
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
        if not tags and target is ctx.dataset:
            words = "Not split yet: the images are split into train, val and test first"
            inputs.view("splits_first", types.Notice(label=words))
        elif not tags.get("train"):
            inputs.view(
                "no_train",
                types.Warning(
                    label="No sample here is tagged 'train'. Split the dataset first, or choose a "
                    "view to train on"
                ),
            )
        recipe = network_inputs(ctx, inputs)
        automatic = "5, or more where images are few"
        epochs = recipe_value(recipe, "epochs") or automatic
        inputs.int("epochs", min=1, label="Epochs", description=f"Default: {epochs}")
        default = _default_key(ctx)
        inputs.str(
            "key",
            label="Name of the run",
            description="To call it up later",
            view=types.TextFieldView(placeholder=default),
        )
        new_key_check(ctx, inputs, ctx.params.get("key"))
        if more(ctx, inputs):
            choice_inputs(inputs, recipe, LEARNING)
            inputs.int(
                "watch",
                min=0,
                label="Samples to watch",
                description="Keeps a heatmap of so many samples at each epoch, and a strip of them",
            )
        excluded_input(ctx, inputs)
        if more(ctx, inputs, "augmentation", "Augmentation"):
            choice_inputs(inputs, recipe, AUGMENTATION)
        if ctx.params.get("label_field"):
            summary_view(inputs, self.arguments(ctx))

    def arguments(self, ctx) -> dict:
        """As filled in; what was left empty is as in the recipe."""
        params = ctx.params
        own = {name: params[name] for name in ("epochs", "watch") if params.get(name) is not None}
        return {
            "samples": ctx.target_view(),
            "key": params.get("key") or _default_key(ctx),
            "recipe": chosen_recipe(ctx),
            "label_field": params["label_field"],
            **own,
            **({"include_excluded": True} if params.get("include_excluded") else {}),
            **chosen(params, (*LEARNING, *AUGMENTATION)),
            **network_choices(ctx),
        }

    def job_label(self, given: dict) -> str:
        """Names the run."""
        return f"Fine-tune {given['key']!r}"

    def outcome(self, result, given: dict) -> dict:
        """How good it is."""
        outcome = {"summary": f"Saved {result}", "run": result.key}
        return outcome | ({"picture": result.watch["strip"]} if result.watch else {})


def network_inputs(ctx, inputs: types.Object) -> str:
    """Let the user choose a recipe, and another backbone or weights; returns the recipe's name."""
    recipe = recipe_inputs(ctx, inputs)
    own = {name: recipe_value(recipe, name) for name in ("backbone", "weights")}
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


def _backbone(ctx) -> str:
    chosen = ctx.params.get("backbone") or AUTOMATIC
    return recipe_value(chosen_recipe(ctx), "backbone") if chosen == AUTOMATIC else chosen


def _default_key(ctx) -> str:
    """The backbone's name, with a number if there is a run of that name."""
    return free_key(ctx.dataset, _backbone(ctx))
