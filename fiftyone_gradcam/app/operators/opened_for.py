"""Forms stay with the dataset that they were opened for, whatever the App opens meanwhile."""

from __future__ import annotations

import fiftyone as fo
from bson import ObjectId
from fiftyone.operators import types

OPENED_FOR = "opened_for"  # the field with the id of the dataset; a dataset may be renamed


def stay_with_dataset(ctx, inputs: types.Object) -> None:
    """Add the hidden field that keeps the dataset of a form."""
    if ctx.dataset is not None:  # of a form that is open, `check_same_dataset` has checked it
        inputs.str(OPENED_FOR, default=str(ctx.dataset._doc.id), view=types.HiddenView())


def check_same_dataset(ctx) -> None:
    """Refuse to run a form with a dataset that it was not opened for.

    Raises:
        ValueError: naming both datasets
    """
    own = ctx.params.get(OPENED_FOR)
    if ctx.dataset is None or not own or own == str(ctx.dataset._doc.id):
        return
    raise ValueError(
        f"This form was opened for the dataset {_name(own)}, and the App shows "
        f"{ctx.dataset.name!r} now. Nothing is run. Close the form, open the dataset that you "
        f"mean, and open the form again"
    )


def _name(id: str) -> str:
    """Return the name of a dataset, for messages."""
    if ObjectId.is_valid(id):
        try:
            return repr(fo.core.odm.load_dataset(id=id).name)
        except Exception:  # FiftyOne's kinds of errors differ by version
            pass
    return "that was deleted"
