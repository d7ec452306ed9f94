"""The fields for predictions, each of which holds those of one run."""

from __future__ import annotations

import fiftyone as fo
from fiftyone.operators import types

from ...dataset.fields import field_info
from ...dataset.runs import list_runs
from ...model.cached_weights import default_backbone
from .forms import choice_input
from .labels import LABELS

PRETRAINED = "pretrained classifier"
# Default fields of runs, and of a pretrained classifier.
DEFAULTS = (
    {"prediction_field": "prediction", "heatmap_field": "gradcam"},
    {"prediction_field": "imagenet", "heatmap_field": "imagenet_cam"},
)
NEW, REPLACE = "new", "replace"


def owner_of(ctx, run: str) -> str:
    """Return the run key that is stored with the fields of a classifier.

    Args:
        ctx: the context of the form
        run: the key of a run, or PRETRAINED
    """
    return f"{pretrained_network(ctx)}/imagenet" if run == PRETRAINED else run


def pretrained_network(ctx) -> str:
    """Return the chosen network of a pretrained classifier."""
    return ctx.params.get("backbone") or default_backbone()


def store_input(ctx, inputs: types.Object, run: str) -> None:
    """Add a choice between new and default fields, if the latter hold values of another run."""
    usual, owner = DEFAULTS[run == PRETRAINED], owner_of(ctx, run)
    others = _others(ctx.dataset, usual, owner)
    if not others:
        return
    new = " and ".join(_new_names(ctx.dataset, usual, owner).values())
    count = max(len(ctx.dataset.exists(name)) for name in others)
    owners = " and ".join(sorted(set(others.values())))
    choices = {
        NEW: f"In new fields: {new}",
        REPLACE: f"In {' and '.join(usual.values())}: replaces those of {owners} ({count} samples)",
    }
    words = f"{' and '.join(others)} hold the results of {owners}"
    choice_input(inputs, "store", choices, NEW, LABELS["store"], words)


def field_names(ctx, run: str) -> dict[str, str]:
    """Return the fields for predictions and for heatmaps of the predicted class.

    Args:
        ctx: the context of the form
        run: the key of a run, or PRETRAINED
    """
    params, usual, owner = ctx.params, DEFAULTS[run == PRETRAINED], owner_of(ctx, run)
    found = usual
    if params.get("store") != REPLACE and _others(ctx.dataset, usual, owner):
        found = _new_names(ctx.dataset, usual, owner)
    return {
        name: params.get(name) or params.get(f"{default}_to") or found[name]
        for name, default in usual.items()
    }


def fields_beside(dataset: fo.Dataset, run: str) -> dict[str, str]:
    """Return new fields for the predictions of a run, if the default ones hold those of another.

    Args:
        dataset: the dataset of the run
        run: its key

    Returns:
        arguments of `predict`; empty if the default fields can be used, because they hold no
        values, or those of this run or of one that was deleted
    """
    usual = DEFAULTS[0]
    owners = _others(dataset, usual, run).values()
    return _new_names(dataset, usual, run) if {*owners} & {*list_runs(dataset)} else {}


def _others(dataset: fo.Dataset, names: dict[str, str], owner: str) -> dict[str, str]:
    """Return the fields that hold values of other runs, with the keys of these."""
    owners = {name: field_info(dataset, name).get("run") for name in names.values()}
    return {name: own for name, own in owners.items() if own not in (None, owner)}


def _new_names(dataset: fo.Dataset, usual: dict[str, str], owner: str) -> dict[str, str]:
    """Return fields named after an owner that hold no values of others."""
    end = owner.removesuffix("/imagenet")
    number = 1
    while True:
        names = {k: f"{v}_{end}" + (f"_{number}" if number > 1 else "") for k, v in usual.items()}
        if not _others(dataset, names, owner):
            return names
        number += 1
