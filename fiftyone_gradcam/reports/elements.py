"""Pieces that the parts of a report share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .facts import Picture
from .html import Html, data_uri, join, tag

MOST_CLASSES = 30  # rows of a table
NO_IMAGE = "cannot be shown"


def section(key: str, title: str, *children: object) -> Html:
    """A part of the page, which links can lead to."""
    return tag("section", tag("h2", title), *children, id=key)


def missing(text: str) -> Html:
    """What is said of a part that there is nothing of."""
    return tag("p", text, class_="missing")


def percent(share: float | None) -> str:
    """Such as "93.4%"; a dash of nothing."""
    return "–" if share is None else f"{share:.1%}"


def count(number: int, one: str, many: str | None = None) -> str:
    """Such as "1 sample" and "1,200 samples"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def table(columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[object]]) -> Html:
    """A table whose first column names the rows.

    Args:
        columns: title of each, and whether it holds numbers
        rows: a cell for each column
    """

    def cells(kind: str, values: Sequence[object]) -> Html:
        return join(
            *(
                tag(
                    "th" if not place else kind,
                    value,
                    class_="number" if numeric and place else None,
                )
                for place, (value, (_, numeric)) in enumerate(zip(values, columns, strict=True))
            )
        )

    head = tag("thead", tag("tr", cells("th", [title for title, _ in columns])))
    body = tag("tbody", *(tag("tr", cells("td", row)) for row in rows))
    return tag("div", tag("table", head, body), class_="wide")


def picture(image: Picture | None, alt: str) -> Html:
    """A small picture, or what stands in its place."""
    if image is None:
        return tag("div", NO_IMAGE, class_="blank")
    size = {"width": image.width, "height": image.height}
    return tag("img", src=Html(data_uri(image.jpeg)), alt=alt, **size)
