"""Operators for views that show the most relevant images first."""

from __future__ import annotations

import fiftyone as fo
from fiftyone.operators import types

from ...dataset.evaluation import prediction_fields
from ...dataset.fields import field_info
from ..showing import view_as_text
from .forms import choice_input, number_input, refuse, search_input
from .labels import LABELS, label_of
from .sample_fields import excluded_input
from .verb import Verb


class _View(Verb):
    """A verb that returns a view, which the App shows."""

    is_long = False
    action = "Show"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add a field for the prediction field; subclasses add more."""
        names = prediction_fields(ctx.dataset)
        if not names:
            refuse(inputs, "no_predictions", "There are no predictions yet. Predict first")
            return
        label = label_of("prediction_field", self.verb)
        choice_input(inputs, "prediction_field", {n: n for n in names}, names[0], label)
        self.more(ctx, inputs, ctx.params.get("prediction_field") or names[0])

    def more(self, ctx, inputs: types.Object, prediction_field: str) -> None:
        """Add further fields to the form."""

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        names = {"prediction_field": ctx.params["prediction_field"]}
        return {"samples": ctx.target_view(), **names}

    def outcome(self, result: fo.DatasetView, given: dict) -> dict:
        """Show the view."""
        return {"view": view_as_text(result), "changed": False}


class _Scores(_View):
    def more(self, ctx, inputs: types.Object, prediction_field: str) -> None:
        """Add fields for the class and the number of samples."""
        classes = field_info(ctx.dataset, prediction_field).get("classes", [])
        shown = {name: name for name in classes}
        search_input(inputs, "label", shown, None, LABELS["label"], "Default: all")
        number_input(inputs, "count", LABELS["count"], "all", least=1)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        label, count = ctx.params.get("label"), ctx.params.get("count")
        return {**super().arguments(ctx), "label": label or None, "count": count or None}


class LowestScores(_Scores):
    """`lowest_scores` as an operator."""

    verb = "lowest_scores"
    label = "Lowest scores"
    icon = "arrow_downward"
    description = "Samples whose own class gets the lowest scores"


class HighestScores(_Scores):
    """`highest_scores` as an operator."""

    verb = "highest_scores"
    label = "Highest scores"
    icon = "arrow_upward"
    description = "Samples whose own class gets the highest scores"


class Mistakes(_View):
    """`mistakes` as an operator."""

    verb = "mistakes"
    label = "Mistakes"
    icon = "rule"
    description = "Samples whose prediction differs from their label, most confident first"

    def more(self, ctx, inputs: types.Object, prediction_field: str) -> None:
        """Add a switch for samples that reviews have left out."""
        excluded_input(ctx, inputs)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        is_all = bool(ctx.params.get("include_excluded"))
        return {**super().arguments(ctx), "include_excluded": is_all}
