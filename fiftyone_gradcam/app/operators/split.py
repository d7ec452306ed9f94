"""Split into train, val and test, or into folds."""

from __future__ import annotations

import fiftyone as fo
from fiftyone.operators import types

from ...folders.assignment import EQUAL, NEAR
from .forms import (
    AUTOMATIC,
    choice_input,
    chosen_features,
    excluded_input,
    features_inputs,
    label_field_input,
    refuse,
)
from .verb import Verb

OWN = ("id", "filepath")
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
COUNTS = {"train": 100, "val": 20, "test": 20}
WAYS = {
    "shares": "Shares of the images",
    "counts": "Numbers of images of each class",
    "folds": "Folds of equal size",
}
GROUPS = {
    AUTOMATIC: "each image for itself",
    EQUAL: "equal files",
    NEAR: "near duplicates: re-encoded, resized, slightly cropped",
}


class Split(Verb):
    """`split` as an operator."""

    verb = "split"
    label = "Split into train, val and test"
    icon = "call_split"
    description = "Tag samples as train, val and test, each class in the same proportions"

    def form(self, ctx, inputs: types.Object) -> None:
        """Sizes, label field, what stays together, and seed."""
        ctx.target_view()
        choice_input(inputs, "way", WAYS, "shares", "Sizes", required=False)
        self._size_inputs(ctx, inputs)
        label_field_input(ctx, inputs)
        choice_input(
            inputs,
            "groups",
            {**GROUPS, **_fields(ctx)},
            AUTOMATIC,
            "What must not be parted",
            "Images of the same value of a field, such as a video's name, are too much alike to be "
            "learnt from and tested on",
            required=False,
        )
        if ctx.params.get("groups") == NEAR:
            features_inputs(ctx, inputs)
        excluded_input(ctx, inputs)
        inputs.int("seed", default=0, min=0, label="Seed")
        inputs.view("replaces", types.Notice(label="An earlier split is replaced"))

    def _size_inputs(self, ctx, inputs: types.Object) -> None:
        way = ctx.params.get("way") or "shares"
        if way == "folds":
            inputs.int("folds", default=5, min=2, label="Folds")
            inputs.view(
                "tags",
                types.Notice(label="They are tagged fold_1 and so on; Fine-tune wants train, val"),
            )
            return
        if way == "counts":
            for name, count in COUNTS.items():
                inputs.int(f"count_{name}", default=count, min=0, label=f"Images of {name}")
        else:
            for name, share in SHARES.items():
                inputs.float(name, default=share, min=0, max=1, label=f"Share of {name}")
        sizes = self._fractions(ctx)
        if way == "shares" and sum(sizes.values()) > 1 + 1e-9:
            refuse(inputs, "too_much", f"The shares add up to {sum(sizes.values()):g}, over 1")
        elif way == "counts" and max(sizes.values(), default=0) == 1:  # 1 would be a share
            refuse(inputs, "too_few", "One image of each class is too little to train on")
        elif "train" not in sizes:
            refuse(inputs, "no_train", "Without images of train nothing can be trained")

    def _fractions(self, ctx) -> dict[str, float]:
        if ctx.params.get("way") == "counts":
            counts = {name: ctx.params.get(f"count_{name}", n) for name, n in COUNTS.items()}
            return {name: int(count) for name, count in counts.items() if count}
        shares = {name: ctx.params.get(name, default) for name, default in SHARES.items()}
        return {name: float(share) for name, share in shares.items() if share}

    def arguments(self, ctx) -> dict:
        """As filled in."""
        groups = ctx.params.get("groups")
        given = {
            "samples": ctx.target_view(),
            "label_field": ctx.params["label_field"],
            "seed": ctx.params.get("seed") or 0,
            "groups": None if groups in (None, AUTOMATIC) else groups,
        }
        if ctx.params.get("include_excluded"):
            given["include_excluded"] = True
        if ctx.params.get("way") == "folds":
            given["folds"] = ctx.params.get("folds") or 5
        else:
            given["fractions"] = self._fractions(ctx)
        return given | (chosen_features(ctx) if groups == NEAR else {})

    def takes_long(self, given: dict) -> bool:
        """Whether all images are to be looked at."""
        return given["groups"] == NEAR

    def outcome(self, result, given: dict) -> dict:
        """How many went where."""
        counts = ", ".join(f"{sum(c.values())} {name}" for name, c in result.items())
        return {"summary": f"Split: {counts}"}


def _fields(ctx) -> dict[str, str]:
    """Fields of texts and whole numbers, which may say what belongs together."""
    schema = ctx.dataset.get_field_schema(ftype=(fo.StringField, fo.IntField))
    return {name: f"the field {name}" for name in schema if name not in OWN}
