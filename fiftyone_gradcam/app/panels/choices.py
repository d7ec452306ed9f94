"""Drop-down lists of the panel, and detection of their events that change nothing."""

from __future__ import annotations

from collections.abc import Callable

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

# Clicks on a plot or a table: they mean what was in sight, whatever has been chosen since.
OF_WHAT_IS_SHOWN = frozenset(
    {
        *("on_cell", "on_pair", "on_class", "on_compared"),
        *("on_score_bar", "on_side", "on_class_bar"),
    }
)


def says_nothing_new(ctx) -> bool:
    """Return whether an event of a list only repeats its current value.

    Each list sends such an event twice when it is first drawn.
    """
    name, default = SETS.get(ctx.params.get("__method__"), (None, None))
    if name is None:
        return False
    return ctx.params.get("value") == (ctx.panel.state.get(name) or default)


def choice(
    panel: types.Object,
    name: str,
    values: dict[str, str],
    default: str,
    label: str,
    on_change: Callable,
) -> None:
    """Add a drop-down list of values with the texts to show for them."""
    view = types.DropdownView()
    for value, shown in values.items():
        view.add_choice(value, label=shown)
    panel.enum(name, view.values(), default=default, label=label, view=view, on_change=on_change)
