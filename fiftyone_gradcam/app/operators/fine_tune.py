"""The operator that trains a classifier."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.run_keys import free_key
from .backbone_fields import SCRATCH, backbone_inputs, chosen_weights
from .forms import AUTOMATIC, heading, more, new_key_check, number_input, text_input
from .labels import LABELS
from .recipe_fields import (
    AUGMENTATION,
    LEARNING,
    Base,
    base_input,
    choice_inputs,
    chosen,
    chosen_base,
)
from .sample_fields import (
    chosen_label_field,
    excluded_input,
    label_field_input,
    labels_input,
)
from .training_summary import epochs_words, expected_seconds, summary_view
from .training_time import images_of
from .verb import Verb


class FineTune(Verb):
    """`fine_tune` as an operator."""

    verb = "fine_tune"
    label = "Train a classifier"
    action = "Train"
    icon = "model_training"
    description = "Fine-tune a network on the samples tagged train, and record it as a run"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add a summary, and fields for the recipe, network, epochs and name.

        The other fields are behind a switch.
        """
        if label_field_input(ctx, inputs, is_rare=True) is None:
            return
        given = self.arguments(ctx)
        images = images_of(given)
        summary_view(ctx, inputs, given, images)
        base = network_inputs(ctx, inputs)
        epochs = epochs_words(given, images, base.value("epochs"))
        number_input(inputs, "epochs", LABELS["epochs"], epochs, least=1)
        text_input(ctx, inputs, "key", LABELS["key"], _default_key(ctx))
        new_key_check(ctx, inputs, ctx.params.get("key"))
        if not more(ctx, inputs):
            return
        choice_inputs(inputs, base, LEARNING, self.verb)
        inputs.int(
            "watch",
            min=0,
            label=LABELS["watch"],
            description="Keep the heatmaps of this many samples at each epoch, and a strip of them",
        )
        labels_input(ctx, inputs, chosen_label_field(ctx))
        excluded_input(ctx, inputs)
        heading(inputs, "augmentation_heading", "Augmentation: random changes of training images")
        choice_inputs(inputs, base, AUGMENTATION, self.verb)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments; empty fields are as in the recipe or the run to repeat."""
        params, base = ctx.params, chosen_base(ctx)
        own = {name: params[name] for name in ("epochs", "watch") if params.get(name) is not None}
        return {
            "samples": ctx.target_view(),
            "key": params.get("key") or _default_key(ctx),
            "recipe": base.recipe,
            "label_field": chosen_label_field(ctx),
            **base.choices,
            **own,
            **({"labels": params["labels"]} if params.get("labels") else {}),
            **({"include_excluded": True} if params.get("include_excluded") else {}),
            **chosen(params, (*LEARNING, *AUGMENTATION)),
            **network_choices(ctx),
        }

    def expected_seconds(self, given: dict) -> float | None:
        """As the form has estimated."""
        return expected_seconds(given)

    def job_label(self, given: dict) -> str:
        """Name the run."""
        start = "Resume the training of" if given.get("resume") else "Train"
        return f"{start} {given['key']!r}"

    def outcome(self, result, given: dict) -> dict:
        """Show the run and its accuracy."""
        summary = ". ".join(filter(None, (f"Saved {result}", result.advice)))
        outcome = {"summary": summary, "run": result.key}
        return outcome | ({"picture": result.watch["strip"]} if result.watch else {})


def network_inputs(ctx, inputs: types.Object) -> Base:
    """Add fields for a recipe or a run to repeat, and for another network or other weights.

    Returns:
        the chosen recipe or run
    """
    base = base_input(ctx, inputs)
    own = {name: base.value(name) for name in ("backbone", "weights")} | {"title": base.title}
    if not _keeps_weights(ctx, base):
        own["weights"] = "auto"
    words = f"As in {base.title}: {own['backbone']}"
    if own["backbone"] != base.named_backbone:
        words = f"Automatic: {own['backbone']}, whose weights are on this machine"
    backbone_inputs(ctx, inputs, AUTOMATIC, words, recipe=own)
    return base


def network_choices(ctx) -> dict[str, str]:
    """Return the network and weights that were chosen instead of those of the recipe."""
    given, backbone = {}, _backbone(ctx)
    is_chosen = ctx.params.get("backbone", AUTOMATIC) != AUTOMATIC
    if is_chosen or backbone != chosen_base(ctx).named_backbone:
        given["backbone"] = backbone
    if ctx.params.get("weights", AUTOMATIC) != AUTOMATIC or backbone == SCRATCH:
        given["weights"] = chosen_weights(ctx, backbone)
    elif not _keeps_weights(ctx, chosen_base(ctx)):
        given["weights"] = "auto"
    return given


def _keeps_weights(ctx, base: Base) -> bool:
    """Return whether the weights of a recipe or run fit the chosen network.

    A file of weights fits only its own network.
    """
    is_own = _backbone(ctx) == base.value("backbone")
    return is_own or base.value("weights") in ("imagenet", "auto", "none")


def _backbone(ctx) -> str:
    chosen = ctx.params.get("backbone") or AUTOMATIC
    return chosen_base(ctx).value("backbone") if chosen == AUTOMATIC else chosen


def _default_key(ctx) -> str:
    """Return the name of the network, with a number if a run has this name."""
    return free_key(ctx.dataset, _backbone(ctx))
