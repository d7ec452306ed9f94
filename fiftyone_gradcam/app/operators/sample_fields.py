"""Form fields for the samples that a verb uses, and for their labels."""

from __future__ import annotations

import os

from bson import ObjectId
from fiftyone.operators import types
from fiftyone.operators.constants import ViewTarget

from ...dataset.fields import field_info, label_fields
from ...dataset.labels_before import has_corrections
from ...dataset.reviews import left_out, left_out_words
from ...dataset.run import BEFORE_REVIEW, CURRENT
from .forms import choice_input, refuse
from .labels import LABELS

# The default samples of a form: all samples of the dataset; the selected samples, or else all; or,
# for verbs that work on what the user sees, the samples that are selected or shown.
DATASET, SELECTED, SHOWN = "dataset", "selected", "shown"


def target_input(ctx, inputs: types.Object, scope: str) -> None:
    """Add a choice of dataset, view or selection, with the number of samples in each.

    Nothing is added if all samples are shown and none is selected.

    Args:
        ctx, inputs: the form
        scope: DATASET, SELECTED or SHOWN
    """
    count = ctx.dataset.count()
    view, chosen = ctx.view, selected_ids(ctx)
    shown = len(view) if ctx.has_custom_view else count
    picked = len(view.select(chosen)) if chosen else 0
    inputs.view_target(
        ctx,
        view_type=_radio,
        default_target=default_target(ctx, scope),
        dataset_label=f"All {count} samples" if count != 1 else "The one sample",
        dataset_description=" ",
        base_view_label=f"All of the view that these come from, of {count} samples",
        base_view_description=" ",
        current_view_label=f"{shown} of {count} samples: current view",
        current_view_description=" ",
        selected_samples_label=f"{picked} of {count} samples: selected",
        selected_samples_description=" ",
    )


def _radio(**options) -> types.RadioGroup:
    return types.RadioGroup(**{**options, "label": "Samples"})


def settle_target(ctx, scope: str) -> None:
    """Use the default samples if a request of the App does not specify them.

    In calls from Python, the view that is passed is used.
    """
    if os.environ.get("FIFTYONE_SERVER") and ctx.request_params.get("view_target") is None:
        ctx.request_params["view_target"] = default_target(ctx, scope)


def default_target(ctx, scope: str) -> str:
    """Return the default samples of a form.

    Args:
        ctx: the context of the form
        scope: DATASET, SELECTED or SHOWN
    """
    if scope != DATASET and selected_ids(ctx):
        return ViewTarget.SELECTED_SAMPLES
    if scope == SHOWN and ctx.has_custom_view:
        return ViewTarget.CURRENT_VIEW
    return ViewTarget.BASE_VIEW if ctx.view._is_generated else ViewTarget.DATASET


def selected_ids(ctx) -> list[str]:
    """Return the ids of the samples that are selected in the grid; invalid ids are left out."""
    selected = ctx.selected if isinstance(ctx.selected, list) else []
    return [x for x in selected if isinstance(x, str) and ObjectId.is_valid(x)]


def own_label_fields(ctx) -> list[str]:
    """Return the label fields that this plugin did not write; if there are none, all of them."""
    names = label_fields(ctx.dataset)
    return [name for name in names if not field_info(ctx.dataset, name)] or names


def label_field_input(
    ctx, inputs: types.Object, name: str = "label_field", is_rare: bool = False
) -> str | None:
    """Add a field for the label field, and return the choice; None if there is none.

    Args:
        ctx, inputs: the form
        name: the name of the parameter
        is_rare: ask only if more than one field holds labels that this plugin did not write
    """
    names = label_fields(ctx.dataset)
    if not names:
        refuse(
            inputs,
            f"no_{name}",
            f"{ctx.dataset.name!r} has no labels yet. Import labeled folders first",
        )
        return None
    own = own_label_fields(ctx)
    default = "ground_truth" if "ground_truth" in names else own[0]
    given = ctx.params.get(name)
    if not is_rare or len(own) > 1 or given not in (None, default):
        choice_input(inputs, name, {x: x for x in names}, default, LABELS["label_field"])
    return given or default


def chosen_label_field(ctx) -> str | None:
    """Return the label field that was chosen, or else the default one."""
    return label_field_input(ctx, types.Object())


def labels_input(ctx, inputs: types.Object, label_field: str) -> None:
    """Add a field for the labels to train on, if reviews have changed some."""
    if has_corrections(ctx.dataset, label_field):
        choices = {
            CURRENT: "As they are now",
            BEFORE_REVIEW: "Before review, to see whether corrections help",
        }
        choice_input(inputs, "labels", choices, CURRENT, LABELS["labels"])


def excluded_input(ctx, inputs: types.Object, default: bool = False) -> None:
    """Add a switch to include samples that reviews have left out, if there are any."""
    if found := left_out(ctx.dataset):
        words = f"{LABELS['include_excluded']} ({left_out_words(found)})"
        inputs.bool("include_excluded", default=default, label=words)
