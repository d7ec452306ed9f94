"""Split into train, val and test."""

from __future__ import annotations

import fiftyone as fo
from fiftyone.operators import types

from .forms import AUTOMATIC, choice_input, label_field_input, refuse
from .verb import Verb

OWN = ("id", "filepath")
DEFAULTS = {"train": 0.6, "val": 0.2, "test": 0.2}


class Split(Verb):
    """`split` as an operator."""

    verb = "split"
    label = "Split into train, val and test"
    icon = "call_split"
    description = "Tag samples as train, val and test, each class in the same proportions"
    is_long = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Shares, label field and seed."""
        ctx.target_view()
        for name, share in DEFAULTS.items():
            inputs.float(name, default=share, min=0, max=1, label=f"Share of {name}")
        shares = self._fractions(ctx)
        if sum(shares.values()) > 1 + 1e-9:
            refuse(inputs, "too_much", f"The shares add up to {sum(shares.values()):g}, over 1")
        elif "train" not in shares:
            refuse(inputs, "no_train", "Without a share of train nothing can be trained")
        label_field_input(ctx, inputs)
        choice_input(
            inputs,
            "groups",
            {AUTOMATIC: "each image for itself", "duplicates": "equal files", **_fields(ctx)},
            AUTOMATIC,
            "What must not be parted",
            "Equal files, or images of the same value of a field, such as a video's name",
            required=False,
        )
        inputs.int("seed", default=0, min=0, label="Seed")
        inputs.view("replaces", types.Notice(label="An earlier split is replaced"))

    def _fractions(self, ctx) -> dict[str, float]:
        shares = {name: ctx.params.get(name, default) for name, default in DEFAULTS.items()}
        return {name: float(share) for name, share in shares.items() if share}

    def arguments(self, ctx) -> dict:
        """As filled in."""
        groups = ctx.params.get("groups")
        return {
            "samples": ctx.target_view(),
            "fractions": self._fractions(ctx),
            "label_field": ctx.params["label_field"],
            "seed": ctx.params.get("seed") or 0,
            "groups": None if groups in (None, AUTOMATIC) else groups,
        }

    def outcome(self, result, given: dict) -> dict:
        """How many went where."""
        counts = ", ".join(f"{sum(c.values())} {name}" for name, c in result.items())
        return {"summary": f"Split: {counts}"}


def _fields(ctx) -> dict[str, str]:
    """Fields of texts and whole numbers, which may say what belongs together."""
    schema = ctx.dataset.get_field_schema(ftype=(fo.StringField, fo.IntField))
    return {name: f"the field {name}" for name in schema if name not in OWN}
