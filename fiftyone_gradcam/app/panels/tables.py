"""A table of a panel: its columns fit, its texts wrap, and a click on a row does something."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fiftyone.operators import types

from ..texts import shortened

MOST = 60  # characters of a name that are shown at once; the whole name is in the tooltip

_CELL = {"overflowWrap": "anywhere", "px": 1, "py": 0.5, "fontSize": "0.875rem"}
_HEAD = {"px": 1, "py": 0.5, "fontSize": "0.875rem", "lineHeight": 1.2}
_ROW = {"cursor": "pointer", "&:hover": {"background": "rgba(128,128,128,0.15)"}}


def draw_table(
    panel: types.Object,
    name: str,
    columns: Mapping[str, str],
    title: str | None = None,
    on_row: Callable | None = None,
    rows: list[dict[str, str]] | None = None,
    names: tuple[str, ...] = (),
) -> None:
    """Add a table.

    Args:
        panel: to add it to
        name: in the panel's state, where its rows are
        columns: titles by keys
        title: above the table; None has none
        on_row: called with the number of the row that was clicked as `row`; -1 is the head
        rows: with `names`: all of them, whole
        names: columns of names, the first ones: they are shown shortened, and wrap
    """
    numbers = f"& td:nth-of-type(n+{len(names) + 1})"  # they are short: texts wrap, not these
    # One style for the table: one for each cell would be worked out for each of them.
    style = {"minWidth": 0, "& td": _CELL, "& th": _HEAD, numbers: {"whiteSpace": "nowrap"}}
    if on_row is not None:
        style |= {"& tbody tr": _ROW}
    parts = {"table": {"sx": style}}
    table = types.TableView(componentsProps=parts, **({"on_click_row": on_row} if on_row else {}))
    for key, label in columns.items():
        table.add_column(key, label=label)
    places = {key: place for place, key in enumerate(columns)}
    for number, row in enumerate(rows or ()):
        for key in names:
            if shortened(row[key], MOST) != row[key]:
                table.add_tooltip(number, places[key], row[key])
    panel.list(name, types.Object(), view=table, label=title)
