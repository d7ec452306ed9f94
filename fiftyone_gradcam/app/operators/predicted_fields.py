"""Where predictions go: a field holds those of one run."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.fields import field_info
from .forms import choice_input
from .labels import LABELS

PRETRAINED = "pretrained classifier"
# Of runs, and of a pretrained classifier.
DEFAULTS = (
    {"prediction_field": "prediction", "heatmap_field": "gradcam"},
    {"prediction_field": "imagenet", "heatmap_field": "imagenet_cam"},
)
NEW, REPLACE = "new", "replace"


def owner_of(ctx, run: str) -> str:
    """What the fields of a classifier say they are of.

    Args:
        ctx: of the form
        run: key of a run, or PRETRAINED
    """
    return f"{ctx.params.get('backbone') or 'resnet18'}/imagenet" if run == PRETRAINED else run


def store_input(ctx, inputs: types.Object, run: str) -> None:
    """Let the user choose between new fields and the usual ones, where these hold the values of
    another run."""
    usual = DEFAULTS[run == PRETRAINED]
    others = _others(ctx, usual, owner_of(ctx, run))
    if not others:
        return
    new = " and ".join(_new_names(ctx, run).values())
    count = max(len(ctx.dataset.exists(name)) for name in others)
    owners = " and ".join(sorted(set(others.values())))
    choices = {
        NEW: f"In new fields: {new}",
        REPLACE: f"In {' and '.join(usual.values())}: replaces those of {owners} ({count} samples)",
    }
    words = f"{' and '.join(others)} hold the results of {owners}"
    choice_input(inputs, "store", choices, NEW, LABELS["store"], words)


def field_names(ctx, run: str) -> dict[str, str]:
    """Where predictions, and heatmaps of the predicted class, go.

    Args:
        ctx: of the form
        run: key of a run, or PRETRAINED
    """
    params, usual = ctx.params, DEFAULTS[run == PRETRAINED]
    found = usual
    if params.get("store") != REPLACE and _others(ctx, usual, owner_of(ctx, run)):
        found = _new_names(ctx, run)
    return {
        name: params.get(name) or params.get(f"{default}_to") or found[name]
        for name, default in usual.items()
    }


def _others(ctx, names: dict[str, str], owner: str) -> dict[str, str]:
    """Fields that hold values of other runs, and whose they are."""
    owners = {name: field_info(ctx.dataset, name).get("run") for name in names.values()}
    return {name: own for name, own in owners.items() if own not in (None, owner)}


def _new_names(ctx, run: str) -> dict[str, str]:
    """Fields that no other run has, named after this one."""
    owner, usual = owner_of(ctx, run), DEFAULTS[run == PRETRAINED]
    end = owner.removesuffix("/imagenet")
    number = 1
    while True:
        names = {k: f"{v}_{end}" + (f"_{number}" if number > 1 else "") for k, v in usual.items()}
        if not _others(ctx, names, owner):
            return names
        number += 1
