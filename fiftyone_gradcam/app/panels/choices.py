"""A drop-down list of a panel."""

from __future__ import annotations

from collections.abc import Callable

from fiftyone.operators import types


def choice(
    panel: types.Object,
    name: str,
    values: dict[str, str],
    default: str,
    label: str,
    on_change: Callable,
) -> None:
    """Add a list: values with what is shown for them."""
    view = types.DropdownView()
    for value, shown in values.items():
        view.add_choice(value, label=shown)
    panel.enum(name, view.values(), default=default, label=label, view=view, on_change=on_change)
