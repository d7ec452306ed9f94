"""Texts as the App wants them: what people wrote, such as class names, is shown as it is."""

from __future__ import annotations

import base64
import html
import re
import textwrap
from pathlib import Path

# Within a word "_" has no meaning; "#", "+", "-", "=" and numbers have one at the beginning alone.
# Addresses would become links.
_MARKS = re.compile(r"[\\`*{}\[\]|~>@]|(?<![^\W_])_|_(?![^\W_])|^[#+\-=]|(?<=www)\.|:(?=//)", re.I)
_NUMBERED = re.compile(r"^(\d+)([.)])")


def markdown(text: str) -> str:
    """A text without meaning to Markdown or HTML, as the App reads it in notices and panels."""
    text = _NUMBERED.sub(r"\1\\\2", _MARKS.sub(r"\\\g<0>", " ".join(text.split())))
    return text.replace("&", "&amp;").replace("<", "&lt;")


def shortened(text: str, most: int) -> str:
    """A text on one line; of a longer one the middle is left out, for ends tell names apart.

    Args:
        text: such as the name of a class
        most: characters that are shown, at least 3
    """
    text = " ".join(text.split()) or text
    if len(text) <= most:
        return text
    end = (most - 1) // 3
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def plotly(text: str, most: int = 24) -> str:
    """A text without meaning to Plotly, which reads some HTML, shortened to a length."""
    return html.escape(shortened(text, most), quote=False)


def wrapped(text: str, width: int = 60, most: int = 300) -> str:
    """As `plotly`, on several lines: a box beside the pointer must fit into the panel."""
    lines = textwrap.wrap(shortened(text, most), width) or [text]
    return "<br>".join(html.escape(line, quote=False) for line in lines)


def duration(seconds: float) -> str:
    """About how long, such as "40 s", "12 min" or "2 h 5 min"."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def percent(share: float | None) -> str:
    """A share, such as "94.1%"; a dash for none."""
    return "–" if share is None else f"{100 * share:.1f}%"


def picture_as_text(path: str) -> str:
    """A PNG file as a browser takes it in place of an address."""
    return f"data:image/png;base64,{base64.b64encode(Path(path).read_bytes()).decode()}"
