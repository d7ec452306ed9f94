"""The operator that splits samples into train, val and test, or into folds."""

from __future__ import annotations

import fiftyone as fo
from fiftyone.operators import types

from ...folders.assignment import EQUAL, NEAR
from .backbone_fields import chosen_features, features_inputs
from .forms import AUTOMATIC, choice_input, more, notice, refuse, seed_input
from .labels import LABELS
from .sample_fields import chosen_label_field, excluded_input, label_field_input
from .split_preview import preview
from .verb import Verb

OWN = ("id", "filepath", "imported_label")  # these do not define groups of images
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
COUNTS = {"train": 100, "val": 20, "test": 20}
WAYS = {
    "shares": "Shares of the images",
    "counts": "A number of images of each class",
    "folds": "Folds of equal size, for cross-validation",
}
GROUPS = {
    AUTOMATIC: "Nothing: each image on its own",
    EQUAL: "Equal files",
    NEAR: "Near duplicates: re-encoded, resized or slightly cropped images",
}
PARTS = {"train": "Training", "val": "Validation", "test": "Test"}


class Split(Verb):
    """`split` as an operator."""

    verb = "split"
    label = "Split into train, val and test"
    action = "Split"
    icon = "call_split"
    description = "Tag samples as train, val and test, each class in the same proportions"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add a preview, and fields for sizes and groups; the others are behind a switch."""
        if label_field_input(ctx, inputs, is_rare=True) is None:
            return
        way = ctx.params.get("way") or "shares"
        is_right = self._check_sizes(ctx, inputs, way)
        if is_right:
            preview(inputs, self.arguments(ctx))
        choice_input(inputs, "way", WAYS, "shares", "Split by")
        self._size_inputs(ctx, inputs, way)
        choice_input(
            inputs,
            "groups",
            {**GROUPS, **_fields(ctx)},
            AUTOMATIC,
            LABELS["groups"],
            "Images that are much alike, such as frames of one video, should be in one part",
        )
        if ctx.params.get("groups") == NEAR:
            features_inputs(ctx, inputs)
        if more(ctx, inputs):
            excluded_input(ctx, inputs)
            seed_input(inputs)

    def _size_inputs(self, ctx, inputs: types.Object, way: str) -> None:
        if way == "folds":
            inputs.int("folds", default=5, min=2, label=LABELS["folds"])
            words = "Samples are tagged fold_1, fold_2 and so on. Training needs train and val"
            notice(inputs, "tags", words)
            return
        if way == "counts":
            for name, count in COUNTS.items():
                words = f"{PARTS[name]} images per class"
                view = types.FieldView(space=4)
                inputs.int(f"count_{name}", default=count, min=0, label=words, view=view)
        else:
            for name, share in SHARES.items():
                view = types.FieldView(space=4)  # of 12, so three in a row
                inputs.float(name, default=share, min=0, max=1, label=LABELS[name], view=view)

    def _check_sizes(self, ctx, inputs: types.Object, way: str) -> bool:
        """Refuse invalid sizes, and return whether they are valid."""
        if way == "folds":
            return True
        sizes, before = self._fractions(ctx), len(inputs.properties)
        if way == "shares" and sum(sizes.values()) > 1 + 1e-9:
            refuse(inputs, "too_much", f"The shares add up to {sum(sizes.values()):g}, over 1")
        elif way == "counts" and max(sizes.values(), default=0) == 1:  # 1 would mean a fraction
            refuse(inputs, "too_few", "One image of each class is too few to train on")
        elif "train" not in sizes:
            refuse(inputs, "no_train", "Without training images nothing can be trained")
        return len(inputs.properties) == before

    def _fractions(self, ctx) -> dict[str, float]:
        if ctx.params.get("way") == "counts":
            counts = {name: ctx.params.get(f"count_{name}", n) for name, n in COUNTS.items()}
            return {name: int(count) for name, count in counts.items() if count}
        shares = {name: ctx.params.get(name, default) for name, default in SHARES.items()}
        return {name: float(share) for name, share in shares.items() if share}

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        groups = ctx.params.get("groups")
        given = {
            "samples": ctx.target_view(),
            "label_field": chosen_label_field(ctx),
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
        """Return whether all images must be read."""
        return given["groups"] == NEAR

    def outcome(self, result, given: dict) -> dict:
        """Show the number of samples in each split."""
        counts = ", ".join(f"{sum(c.values())} {name}" for name, c in result.items())
        return {"summary": f"Split: {counts}"}


def _fields(ctx) -> dict[str, str]:
    """Return the string and integer fields, which may define groups of images."""
    schema = ctx.dataset.get_field_schema(ftype=(fo.StringField, fo.IntField))
    return {name: f"Images of the same {name}" for name in schema if name not in OWN}
