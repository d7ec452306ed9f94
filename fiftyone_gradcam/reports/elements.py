"""Elements that several sections of a report use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .facts import Picture
from .html import Html, data_uri, join, tag

MOST_CLASSES = 30  # maximum number of rows of a table
NO_IMAGE = "cannot be shown"


def section(key: str, title: str, *children: object) -> Html:
    """A section of the page, with an anchor for links."""
    return tag("section", tag("h2", title), *children, id=key)


def missing(text: str) -> Html:
    """The text of a section without data."""
    return tag("p", text, class_="missing")


def percent(share: float | None) -> str:
    """Format a fraction as "93.4%", or as a dash if it is None."""
    return "–" if share is None else f"{share:.1%}"


def count(number: int, one: str, many: str | None = None) -> str:
    """Format a number with its noun, such as "1 sample" or "1,200 samples"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def table(columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[object]]) -> Html:
    """A table whose first column contains the names of the rows.

    Args:
        columns: title of each column, and whether it contains numbers
        rows: one value for each column
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
    """A thumbnail, or a placeholder if there is none."""
    if image is None:
        return tag("div", NO_IMAGE, class_="blank")
    size = {"width": image.width, "height": image.height}
    return tag("img", src=Html(data_uri(image.jpeg)), alt=alt, **size)
