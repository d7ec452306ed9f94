"""Build HTML safely: every text is escaped, unless it was built by these functions."""

from __future__ import annotations

import base64
import html
import re

EMPTY = ("br", "meta", "img", "hr", "line", "polyline", "circle", "rect", "path")
MOST_LETTERS, MOST_OF_NAME = 2000, 160  # maximum length of a text and of a name
# Control characters, lone surrogates (bytes of file names that are not UTF-8), and marks that
# change the direction of the surrounding text.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)


class Html(str):
    """Text that is already HTML."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """Convert a value to HTML: `Html` is not changed, and any other value is escaped.

    Args:
        value: the value; None becomes an empty text
    """
    if isinstance(value, Html):
        return value
    if value is None:
        return Html("")
    text = UNSAFE.sub("\ufffd", cut(str(value)))
    return Html(html.escape(text, quote=True))


def cut(text: str, most: int = MOST_LETTERS) -> str:
    """Shorten a text to a maximum number of characters by leaving out the middle."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[: most - 1 - half]}…{text[-half:]}"


def tag(element: str, /, *children: object, **attributes: object) -> Html:
    """Build an element.

    Args:
        element: name of the element
        children: contents of the element
        attributes: attributes by name; "class_" stands for class, and "_" for "-" in other names;
            None and False leave an attribute out, and True writes it without a value
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
    """Concatenate values as HTML."""
    return Html("".join(escaped(child) for child in children))


def name_of(text: object) -> Html:
    """A class or file name, isolated so that its text direction does not affect its
    surroundings."""
    return tag("bdi", cut(str(text), MOST_OF_NAME))


def data_uri(jpeg: bytes) -> str:
    """Return a data URI of a JPEG file."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
