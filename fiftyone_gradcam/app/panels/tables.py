"""A table in a panel, whose columns fit, whose texts wrap, and whose rows can be clicked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from fiftyone.operators import types

from ..texts import shortened

BREAK = "\u200b"  # a space without width
_JOINT = re.compile(r"[_.-](?=.)")
MOST_OF_WORD = 15  # characters of a word that stay on one line; longer words are broken
MOST = 60  # maximum number of characters of a name; the tooltip shows the whole name

_CELL = {"overflowWrap": "anywhere", "px": 1, "py": 0.5, "fontSize": "0.875rem"}
_HEAD = {"px": 1, "py": 0.5, "fontSize": "0.875rem", "lineHeight": 1.2}
_BUTTON = {"px": 1, "py": 0, "whiteSpace": "nowrap", "textTransform": "none"}
_ROW = {"cursor": "pointer", "&:hover": {"background": "rgba(128,128,128,0.15)"}}


@dataclass(frozen=True)
class RowButton:
    """A button at the end of the rows of a table.

    Attributes:
        label: the label of the button
        title: the title of its column
        on_click: called with the index of the row as `row`, and `id` as `event`
        rows: for each row, whether it has the button
        id: identifies the table
    """

    label: str
    title: str
    on_click: Callable
    rows: tuple[bool, ...]
    id: str = "show"


def draw_table(
    panel: types.Object,
    name: str,
    columns: Mapping[str, str],
    title: str | None = None,
    on_row: Callable | None = None,
    rows: list[dict[str, str]] | None = None,
    names: tuple[str, ...] = (),
    button: RowButton | None = None,
    default: list[dict[str, str]] | None = None,
) -> None:
    """Add a table.

    Args:
        panel: the panel to add it to
        name: the name of the rows in the panel's state
        columns: titles of columns by key
        title: the title above the table; None for no title
        on_row: called with the index of the clicked row as `row`, or -1 for the header
        rows: the rows, unshortened, for tooltips and for the widths of columns
        names: the keys of the first columns, which hold names or long texts; they are shortened
            and wrap
        button: a button at the end of rows; None for no buttons
        default: the rows to show; by default (None), those in the panel's state
    """
    numbers = f"& td:nth-of-type(n+{len(names) + 1})"  # other columns are short and do not wrap
    # One style for the whole table, because separate styles for all cells would be slow.
    style = {"minWidth": 0, "& td": _CELL, "& th": _HEAD, numbers: {"whiteSpace": "nowrap"}}
    if names:  # else a name of 12 letters takes three lines beside columns that do not wrap
        style[f"& td:nth-of-type(-n+{len(names)})"] = {"minWidth": 60}
        for place, key in enumerate(names, 1):  # short words such as "mobilenet_v2" stay whole
            texts = [columns[key], *(row[key] for row in rows or default or ())]
            # A "ch" is as wide as a digit; some letters are wider.
            style[f"& td:nth-of-type({place})"] = {
                "minWidth": f"calc({_width(texts) + 1}ch + 16px)"
            }
    if on_row is not None:
        style |= {"& tbody tr": _ROW}
    if button is not None:
        style |= {"& button": _BUTTON, "& th:last-of-type": {**_HEAD, "textAlign": "right"}}
    parts = {"table": {"sx": style}}
    more = {"on_click_row": on_row} if on_row else {}
    more |= {"actions_label": button.title} if button else {}
    table = types.TableView(componentsProps=parts, **more)
    for key, label in columns.items():
        table.add_column(key, label=label)
    places = {key: place for place, key in enumerate(columns)}
    for number, row in enumerate(rows or ()):
        for key in names:
            if shortened(row[key], MOST) != row[key]:
                table.add_tooltip(number, places[key], row[key])
    if button is not None:
        table.add_row_action(
            button.id, button.on_click, label=button.label, variant="outlined", rows=button.rows
        )
    panel.list(name, types.Object(), view=table, label=title, default=default)


def name_of(name: str, values: object) -> str:
    """Return a name for what shows some values, because the browser keeps the rows of a table by
    its name: other rows need another.

    Args:
        name: the name of the part of the panel
        values: anything that JSON can represent
    """
    return f"{name}_{blake2b(json.dumps(values).encode(), digest_size=8).hexdigest()}"


def breakable(text: str) -> str:
    """Let long words break after "_", "-" and "." rather than within their parts."""
    words = text.split(" ")
    return " ".join(_JOINT.sub(f"\\g<0>{BREAK}", x) if len(x) > MOST_OF_WORD else x for x in words)


def _width(texts: Iterable[str]) -> int:
    """Return the number of characters of the longest word, but not more than fit into a panel."""
    return min(max(len(word) for text in texts for word in text.split()), MOST_OF_WORD)
