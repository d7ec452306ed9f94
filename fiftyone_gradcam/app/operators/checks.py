"""Looks at a training before it begins: augmentation, learning rate, whether it can learn."""

from __future__ import annotations

from fiftyone.operators import types

from ..texts import picture_as_text
from .fine_tune import network_choices, network_inputs
from .forms import chosen_recipe, label_field_input, more
from .recipe_fields import AUGMENTATION, LEARNING, choice_inputs, chosen
from .verb import Verb


class Check(Verb):
    """A verb with the form of a recipe."""

    choices = LEARNING

    def form(self, ctx, inputs: types.Object) -> None:
        """Label field, recipe, backbone and weights; the rest under Advanced."""
        ctx.target_view()
        label_field_input(ctx, inputs)
        recipe = network_inputs(ctx, inputs)
        if more(ctx, inputs):
            choice_inputs(inputs, recipe, self.choices)

    def arguments(self, ctx) -> dict:
        """As filled in."""
        return {
            "samples": ctx.target_view(),
            "recipe": chosen_recipe(ctx),
            "label_field": ctx.params["label_field"],
            **chosen(ctx.params, self.choices),
            **network_choices(ctx),
        }


class PreviewAugmentation(Check):
    """`preview_augmentation` as an operator."""

    verb = "preview_augmentation"
    label = "Preview augmentation"
    icon = "auto_fix_high"
    description = "See training images as a recipe changes them"
    is_long = False
    choices = AUGMENTATION

    def form(self, ctx, inputs: types.Object) -> None:
        """As of other checks, with the fields of augmentation at once."""
        ctx.target_view()
        label_field_input(ctx, inputs)
        choice_inputs(inputs, network_inputs(ctx, inputs), AUGMENTATION)

    def execute(self, ctx) -> dict:
        """Make the picture, and show it."""
        path = self.function(**self.given(ctx))
        return {"picture": picture_as_text(path), "path": path}

    def resolve_output(self, ctx) -> types.Property:
        """The picture, and where it is."""
        outputs = types.Object()
        outputs.str("picture", view=types.ImageView(width="100%", alt="Augmented images"))
        outputs.str("path", label="The picture is at")
        return types.Property(outputs, view=types.View(label=self.label))


class FindLearningRate(Check):
    """`find_learning_rate` as an operator."""

    verb = "find_learning_rate"
    label = "Find a learning rate"
    icon = "speed"
    description = "Raise the learning rate step by step, and see where the loss falls fastest"

    def outcome(self, result, given: dict) -> dict:
        """The suggestion, and its curve."""
        return {"summary": str(result), "picture": result.path, "changed": False}


class SanityCheck(Check):
    """`sanity_check` as an operator."""

    verb = "sanity_check"
    label = "Can it learn at all?"
    icon = "psychology"
    description = "Learn a handful of images by heart: a set-up that cannot do this cannot learn"

    def outcome(self, result, given: dict) -> dict:
        """The verdict."""
        return {"summary": str(result), "changed": False}
