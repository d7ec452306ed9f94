"""Find images that are in two splits."""

from __future__ import annotations

from fiftyone.operators import types

from ..showing import view_as_text
from .forms import chosen_features, features_inputs
from .verb import Verb


class FindLeaks(Verb):
    """`find_leaks` as an operator."""

    verb = "find_leaks"
    label = "Find leaks between splits"
    icon = "water_drop"
    description = "Find images that are in two splits: equal files, and near duplicates"

    def form(self, ctx, inputs: types.Object) -> None:
        """Whether near duplicates are looked for, and by which backbone."""
        ctx.target_view()
        near = "Near duplicates too: re-encoded, resized or slightly cropped images"
        inputs.bool("near", default=True, label=near)
        if ctx.params.get("near", True):
            features_inputs(ctx, inputs)

    def arguments(self, ctx) -> dict:
        """As filled in."""
        near = bool(ctx.params.get("near", True))
        options = {"samples": ctx.target_view(), "near": near}
        return options | (chosen_features(ctx) if near else {})

    def outcome(self, result, given: dict) -> dict:
        """The images that have a twin, twins beside each other."""
        count = len(result)
        if not count:
            return {"summary": "No image is in two splits"}
        return {
            "summary": f"{count} images have a twin in another split; twins stand beside each "
            f"other. To part them no more, split the whole dataset anew, near duplicates together",
            "view": view_as_text(result),
            "fields": ["leak", "tags"],  # which tell the splits
        }
