"""Draw a comparison of two runs: a headline, a table whose rows show their images, a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fiftyone.operators import types

from ...review.comparison import RESULTS
from ..texts import markdown
from .tables import RowButton, draw_table, name_of

COLUMNS = {"name": "Result", "count": "Images", "share": "Share"}


def draw_compared(panel: types.Object, found: Mapping, on_show: Callable, id: str = "show") -> None:
    """Draw a comparison.

    Args:
        panel: the panel to add it to
        found: the result of `..compared.compared`, and perhaps "notes"
        on_show: called when the images of a row are asked for; see `result_of`
        id: passed to `on_show` as the parameter "event"
    """
    name = name_of("compared", found)
    panel.md(f"**{markdown(found['headline'])}.**", name=f"{name}_headline")
    shown = [{key: row[key] for key in COLUMNS} for row in found["rows"]]
    can_show = tuple(row["count"] != "0" for row in found["rows"])
    button = RowButton("Show", "See", on_show, can_show, id)
    draw_table(panel, f"{name}_rows", COLUMNS, names=("name",), button=button, default=shown)
    words = [f"{markdown(found['verdict'])}."]
    words += [f"- {markdown(note)}." for note in found.get("notes", ())]
    panel.md("\n\n".join([words[0], "\n".join(words[1:])]), name=f"{name}_verdict")


def result_of(ctx) -> str | None:
    """Return which result's images were asked for, in the event of a button; None for no row."""
    row = ctx.params["row"]
    return RESULTS[row] if 0 <= row < len(RESULTS) else None
