"""Split into train, val and test."""

from __future__ import annotations

from fiftyone.operators import types

from .forms import label_field_input, refuse
from .verb import Verb

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
        inputs.int("seed", default=0, min=0, label="Seed")
        inputs.view("replaces", types.Notice(label="An earlier split is replaced"))

    def _fractions(self, ctx) -> dict[str, float]:
        shares = {name: ctx.params.get(name, default) for name, default in DEFAULTS.items()}
        return {name: float(share) for name, share in shares.items() if share}

    def arguments(self, ctx) -> dict:
        """As filled in."""
        return {
            "samples": ctx.target_view(),
            "fractions": self._fractions(ctx),
            "label_field": ctx.params["label_field"],
            "seed": ctx.params.get("seed") or 0,
        }

    def outcome(self, result, given: dict) -> dict:
        """How many went where."""
        counts = ", ".join(f"{sum(c.values())} {name}" for name, c in result.items())
        return {"summary": f"Split: {counts}"}
