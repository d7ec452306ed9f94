"""Operators for checks before a training: augmentation, learning rate, sanity check."""

from __future__ import annotations

from fiftyone.operators import types

from ..texts import picture_as_text
from .fine_tune import network_choices, network_inputs
from .forms import more
from .recipe_fields import AUGMENTATION, LEARNING, choice_inputs, chosen, chosen_base
from .sample_fields import chosen_label_field, label_field_input
from .verb import Verb


class Check(Verb):
    """A verb whose form has the fields of a recipe."""

    choices = LEARNING

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the recipe, network and weights; the others are behind a switch."""
        if label_field_input(ctx, inputs, is_rare=True) is None:
            return
        base = network_inputs(ctx, inputs)
        if more(ctx, inputs):
            choice_inputs(inputs, base, self.choices, self.verb)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        base = chosen_base(ctx)
        return {
            "samples": ctx.target_view(),
            "recipe": base.recipe,
            "label_field": chosen_label_field(ctx),
            **base.choices,
            **chosen(ctx.params, self.choices),
            **network_choices(ctx),
        }


class PreviewAugmentation(Check):
    """`preview_augmentation` as an operator."""

    verb = "preview_augmentation"
    label = "Preview augmentation"
    icon = "auto_fix_high"
    action = "Preview"
    description = "See training images as a recipe changes them"
    is_long = False
    choices = AUGMENTATION

    def form(self, ctx, inputs: types.Object) -> None:
        """Add the fields of a check, and those of augmentation without a switch."""
        if label_field_input(ctx, inputs, is_rare=True) is not None:
            base = network_inputs(ctx, inputs)
            choice_inputs(inputs, base, AUGMENTATION, self.verb)

    def execute(self, ctx) -> dict:
        """Create the picture and return it."""
        path = self.function(**self.given(ctx))
        return {"picture": picture_as_text(path), "path": path}

    def resolve_output(self, ctx) -> types.Property:
        """Show the picture and its path."""
        outputs = types.Object()
        outputs.str("picture", view=types.ImageView(width="100%", alt="Augmented images"))
        outputs.str("path", label="The picture is at")
        return types.Property(outputs, view=types.View(label=self.label))


class FindLearningRate(Check):
    """`find_learning_rate` as an operator."""

    verb = "find_learning_rate"
    label = "Find a learning rate"
    action = "Find"
    icon = "speed"
    description = "Raise the learning rate step by step, and see where the loss falls fastest"

    def outcome(self, result, given: dict) -> dict:
        """Show the suggested learning rate and the curve."""
        return {"summary": str(result), "picture": result.path, "changed": False}


class SanityCheck(Check):
    """`sanity_check` as an operator."""

    verb = "sanity_check"
    label = "Can it learn at all?"
    action = "Check"
    icon = "psychology"
    description = "Overfit a few images: a setup that cannot do this cannot learn"

    def outcome(self, result, given: dict) -> dict:
        """Show the result of the check."""
        return {"summary": str(result), "changed": False}
