"""HTML in which text can only be text: whatever is not made here is escaped."""

from __future__ import annotations

import base64
import html
import re

EMPTY = ("br", "meta", "img", "hr", "line", "polyline", "circle", "rect", "path")
MOST_LETTERS, MOST_OF_NAME = 2000, 160  # of a text, of a name: the middle of longer ones is cut
# Control characters, halves of letters (bytes of file names that are not UTF-8), and marks that
# turn the direction of the text around them.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """A value as HTML: what is `Html` stays as it is, and anything else becomes text.

    Args:
        value: None is nothing
    """
    if isinstance(value, Html):
        return value
    if value is None:
        return Html("")
    text = UNSAFE.sub("\ufffd", cut(str(value)))
    return Html(html.escape(text, quote=True))


def cut(text: str, most: int = MOST_LETTERS) -> str:
    """A text of at most so many letters: the middle of a longer one is left out."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[: most - 1 - half]}…{text[-half:]}"


def tag(element: str, /, *children: object, **attributes: object) -> Html:
    """An element.

    Args:
        element: its name
        children: what is in it
        attributes: by name; "class_" is class, and "_" in others stands for "-"; None and False
            leave an attribute out, True gives it no value
    """
    parts = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        named = key.rstrip("_").replace("_", "-")
        parts.append(f" {named}" if value is True else f' {named}="{escaped(value)}"')
    opened = f"<{element}{''.join(parts)}>"
    if element in EMPTY:
        return Html(opened if element in EMPTY[:4] else f"{opened[:-1]}/>")
    return Html(f"{opened}{join(*children)}</{element}>")


def join(*children: object) -> Html:
    """Children one after the other."""
    return Html("".join(escaped(child) for child in children))


def name_of(text: object) -> Html:
    """A name that somebody chose, of a class or a file: its direction stays within it."""
    return tag("bdi", cut(str(text), MOST_OF_NAME))


def data_uri(jpeg: bytes) -> str:
    """The address of a JPEG file that is in the page itself."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
