"""Drop-down lists of the panel, rows of them, and detection of their events that change nothing."""

from __future__ import annotations

from collections.abc import Callable

import pydash
from fiftyone.operators import types

# For each list, the value of the panel's state that it sets, and the default while this is empty.
# Lists with the same name as this value are not included: the browser has set it already.
SETS = {
    "on_tab": ("tab", "jobs"),
    "on_prediction_field": ("prediction_field", None),
    "on_part": ("part", None),
    "on_other": ("other", "none"),
    "on_order": ("order", "recall"),
    "on_by": ("by", "row"),
    "on_first": ("first", "lowest"),
    "on_bar_order": ("bar_order", "recall"),
}

# Clicks on a plot or table: they refer to what was shown, even if choices have changed since.
OF_WHAT_IS_SHOWN = frozenset(
    {
        *("on_cell", "on_pair", "on_class", "on_compared"),
        *("on_score_bar", "on_side", "on_class_bar"),
    }
)


def says_nothing_new(ctx) -> bool:
    """Return whether an event of a list only repeats its current value, as most second ones do."""
    name, default = SETS.get(ctx.params.get("__method__"), (None, None))
    if name is None:
        return False
    return ctx.params.get("value") == (ctx.panel.state.get(name) or default)


def stand_at(ctx, path: str, value: str) -> None:
    """Set the value of a list before it is first drawn.

    Otherwise it would send this value as a choice, twice, when it is drawn.

    Args:
        ctx: the context of an event that draws the panel
        path: of the list in the panel's state: the name of its row and its own
        value: that it is drawn with
    """
    if pydash.get(ctx.panel_state, path) is None:
        ctx.panel.set_state(path, value)


def row_of(
    panel: types.Object, name: str, width: int | None = None, is_tight: bool = False
) -> types.Object:
    """Add a row whose elements wrap to the next line in a narrow panel.

    Args:
        panel: the panel to add it to
        name: the name of the row
        width: of each part, in pixels: lists share what is left; None takes what each needs
        is_tight: whether buttons have little space around their labels
    """
    part = {"width": "auto !important", "minWidth": 0}
    if width is not None:
        part |= {"flex": f"1 1 {width}px"}
    style = {"display": "flex", "flexWrap": "wrap", "& > *": part}
    if is_tight:
        style |= {"& button": {"px": 1, "minWidth": 0}}
    return panel.h_stack(name, gap=2, componentsProps={"grid": {"sx": style}})


def choice(
    ctx,
    row: types.Object,
    path: str,
    values: dict[str, str],
    default: str,
    label: str,
    on_change: Callable,
) -> None:
    """Add a drop-down list of values with the texts to show for them.

    Args:
        ctx: of an event that draws the panel
        row: to add it to
        path: the name of the row, if it is one, and that of the list
        values: with what is shown for each
        default: what it stands at
        label: above it
        on_change: called with what was chosen as `value`
    """
    view = types.DropdownView()
    for value, shown in values.items():
        view.add_choice(value, label=shown)
    stand_at(ctx, path, default)
    name = path.rpartition(".")[2]
    row.enum(name, view.values(), default=default, label=label, view=view, on_change=on_change)
