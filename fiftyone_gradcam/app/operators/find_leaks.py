"""The operator that finds images that are in two splits."""

from __future__ import annotations

from fiftyone.operators import types

from ...progress import counted
from ..showing import view_as_text
from .backbone_fields import chosen_features, features_inputs
from .labels import LABELS
from .verb import Verb


class FindLeaks(Verb):
    """`find_leaks` as an operator."""

    verb = "find_leaks"
    label = "Find leaks between splits"
    icon = "water_drop"
    action = "Find"
    description = "Find images that are in two splits: equal files, and near duplicates"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the search of near duplicates and for its backbone."""
        words = "Re-encoded, resized or slightly cropped images"
        inputs.bool("near", default=True, label=LABELS["near"], description=words)
        if ctx.params.get("near", True):
            features_inputs(ctx, inputs)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        near = bool(ctx.params.get("near", True))
        options = {"samples": ctx.target_view(), "near": near}
        return options | (chosen_features(ctx) if near else {})

    def outcome(self, result, given: dict) -> dict:
        """Show the images that have a duplicate, with duplicates next to each other."""
        count = len(result)
        if not count:
            return {"summary": "No image is in two splits"}
        return {
            "summary": f"{counted(count, 'image has', 'images have')} a duplicate in another "
            "split; duplicates are shown side by side. To fix this, split the whole dataset "
            "again and keep near duplicates together",
            "view": view_as_text(result),
            "fields": ["leak", "tags"],  # the tags show the splits
        }
