"""Format texts for the App, so that user texts such as class names are shown literally."""

from __future__ import annotations

import base64
import html
import re
import textwrap
from pathlib import Path
from urllib.parse import quote

# "_" has no meaning inside a word; "#", "+", "-", "=" and numbers have one only at the beginning.
# Addresses would become links.
_MARKS = re.compile(r"[\\`*{}\[\]|~>@]|(?<![^\W_])_|_(?![^\W_])|^[#+\-=]|(?<=www)\.|:(?=//)", re.I)
_NUMBERED = re.compile(r"^(\d+)([.)])")


def markdown(text: str) -> str:
    """Escape a text for Markdown and HTML, which the App interprets in notices and panels."""
    text = _NUMBERED.sub(r"\1\\\2", _MARKS.sub(r"\\\g<0>", " ".join(text.split())))
    return text.replace("&", "&amp;").replace("<", "&lt;")


def shortened(text: str, most: int) -> str:
    """Return a text on one line, shortened in the middle, because names often differ at the ends.

    Args:
        text: the text, such as the name of a class
        most: the maximum number of characters, at least 3
    """
    text = " ".join(text.split()) or text
    if len(text) <= most:
        return text
    end = (most - 1) // 3
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def plotly(text: str, most: int = 24) -> str:
    """Escape and shorten a text for Plotly, which interprets some HTML."""
    return html.escape(shortened(text, most), quote=False)


def wrapped(text: str, width: int = 60, most: int = 300) -> str:
    """Format a text as `plotly` does, but on several lines, so that a tooltip fits the panel."""
    lines = textwrap.wrap(shortened(text, most), width)
    return "<br>".join(html.escape(line, quote=False) for line in lines)


def duration(seconds: float) -> str:
    """Format a duration approximately, such as "40 s", "12 min" or "2 h 5 min"."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def percent(share: float | None) -> str:
    """Format a fraction as a percentage, such as "94.1%"; a dash for None."""
    return "–" if share is None else f"{100 * share:.1f}%"


def picture_as_text(path: str) -> str:
    """Return a PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def media(path: str) -> str:
    """Return the address of a picture on the App's server."""
    return f"/media?filepath={quote(path, safe='')}"
