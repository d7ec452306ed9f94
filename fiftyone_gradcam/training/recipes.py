"""Build a recipe from a name and changed choices."""

from __future__ import annotations

from ..model.weights import weights_at_hand
from .known_recipes import find_recipe
from .recipe import Recipe, check_choices


def make_recipe(recipe: str | Recipe = "default", **choices) -> Recipe:
    """Return a recipe with some of its fields changed.

    Args:
        recipe: a name in `RECIPES`, or a recipe
        **choices: fields of `Recipe`. `weights` may also be "auto": ImageNet weights if they are
            cached or can be downloaded, otherwise none

    Raises:
        ValueError: if the name or a choice is unknown, or a value is out of range
    """
    check_choices(choices)
    if isinstance(recipe, Recipe):
        chosen = {**_given(recipe), **choices}
    else:
        chosen = {**find_recipe(recipe).choices, **choices}
    if chosen.get("weights") == "auto":
        Recipe(**{**chosen, "weights": "none"})  # report invalid choices before downloading
        chosen["weights"] = weights_at_hand(chosen.get("backbone", Recipe.backbone))
    return Recipe(**chosen)


def _given(recipe: Recipe) -> dict:
    """Return the fields of a recipe, except those that equal defaults derived from other fields."""
    given = recipe.to_dict()
    follows = ("image_size", "resize", "learning_rate", "translation")
    free = [n for n in follows if getattr(Recipe(**{**given, n: None}), n) == given[n]]
    return {name: value for name, value in given.items() if name not in free}
