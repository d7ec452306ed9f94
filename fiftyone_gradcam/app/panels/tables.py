"""A table in a panel, whose columns fit, whose texts wrap, and whose rows can be clicked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fiftyone.operators import types

from ..texts import shortened

MOST = 60  # maximum number of characters of a name; the tooltip shows the whole name

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
        panel: the panel to add it to
        name: the name of the rows in the panel's state
        columns: titles of columns by key
        title: the title above the table; None for no title
        on_row: called with the index of the clicked row as `row`, or -1 for the header
        rows: the rows, unshortened; needed together with `names`
        names: the keys of the first columns, which hold names or long texts; they are shortened
            and wrap
    """
    numbers = f"& td:nth-of-type(n+{len(names) + 1})"  # other columns are short and do not wrap
    # One style for the whole table, because separate styles for all cells would be slow.
    style = {"minWidth": 0, "& td": _CELL, "& th": _HEAD, numbers: {"whiteSpace": "nowrap"}}
    if names:  # else a name of 12 letters takes three lines beside columns that do not wrap
        style[f"& td:nth-of-type(-n+{len(names)})"] = {"minWidth": 60}
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
