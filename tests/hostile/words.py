"""Hostile values and names, of which hostile inputs of all kinds are made."""

from __future__ import annotations

import math
import random
import unicodedata

OPERATORS = ("$where", "$function", "$set", "$expr", "$out", "a.b", "a.$[].b", "_id", "$", "$.a")
PATHS = (
    *("../../x", "../x", "..", ".", "/etc/passwd", "a/../../b", "C:\\x", "\\\\host\\x", "~/x"),
    *("~root", "a/b", "./x", "a//b", "/", "//", "file:///etc/passwd", "%2e%2e/x", "$HOME/x"),
)
CONTROLS = (
    "a\0b",
    "\0",
    "a\nb",
    "a\r\nb",
    "\x1b[31mred",
    "\x7f",
    "\x08\x08",
    "a\tb",
    "\u2028",
    "\x1e",
)
UNICODE = (
    *("\ud800", "a\udcff", "\u202eevil", "\ufeffa", "é", "e\u0301", "ß", "ſ", "İ", "ﬁ", "図片"),
    *("😀", "\U0010ffff", "а", "a\u200b", "ª", "℘", "℮", "·", "x\u0301" * 50, "ﷺ" * 40, "Ω"),
)
RESERVED = ("con", "NUL", "aux.txt", "LPT1", "com¹", "id", "_id", "filepath", "tags", "metadata",
            "None", "null", "true", "class", "def", "__init__", "__class__", "ground_truth",
            "created_at", "media_type", "_media_type", "_rand", "mine")  # fmt: skip
MARKUP = (
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "**bold**", "[a](javascript:1)"),
    *("`code`", "| a | b |", "{{7*7}}", "${7*7}", "%s%s%n", "{0.__class__}", "'; DROP TABLE x--"),
    *('"', "'", "\\", "__import__('os').system('id')", "=cmd|'/c calc'!A1", "&amp;", "# a", "-x"),
)
LONG = ("x" * 255, "x" * 256, "x" * 5000, "é" * 128, "ж" * 240, "a_" * 120, "x" * 241, "y" * 10**6)
BLANK = ("", " ", "  \t ", " a", "a ", ".a", "a.", "...", "\u00a0", "\u3000")
PLAIN = ("a", "good_name", "Label", "x1", "run_2", "k")
TEXTS = (*OPERATORS, *PATHS, *CONTROLS, *UNICODE, *RESERVED, *MARKUP, *LONG, *BLANK, *PLAIN)


class Odd:
    """A value of no use."""

    def __repr__(self) -> str:
        return "Odd()"


OTHERS = (
    *(None, True, False, 0, -1, 3, 2.5, 1e308, 10**400, math.nan, math.inf, -math.inf, -0.0),
    *([], [[]], [None], ["a"] * 3, (), ("a",), {}, {"$where": "1"}, {"a": {"b": []}}, {1: 2}),
    *(b"bytes", b"\xff", 1j, Odd(), set(), range(3)),
)


def mixed(source: random.Random) -> str:
    """A name that is made of others, or of letters from anywhere."""
    way = source.randrange(5)
    if way == 0:
        return "".join(source.sample((*OPERATORS, *PATHS, *CONTROLS, *UNICODE, *MARKUP), 2))
    if way == 1:
        return "".join(chr(source.randrange(0x110000)) for _ in range(source.randint(1, 12)))
    if way == 2:  # what Python takes for an identifier
        found = ""
        while len(found) < source.randint(1, 90):
            letter = chr(source.randrange(0x3000))
            if (found + letter).isidentifier():
                found += letter
        return found
    if way == 3:
        return source.choice(PLAIN) + source.choice(TEXTS)[:300]
    return unicodedata.normalize(source.choice(("NFD", "NFKC")), source.choice(UNICODE)) * 3


def names(seed: object, count: int) -> list[str]:
    """All texts from above, and mixed ones up to a number."""
    source = random.Random(str(seed))
    return [*TEXTS, *(mixed(source) for _ in range(max(count - len(TEXTS), 0)))][:count]


def shown(value: object) -> str:
    """A value in a report."""
    return f"{value!r:.80}"
