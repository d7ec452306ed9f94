"""Suggest a similar name for a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ALIKE = 0.7  # minimum similarity of two names, in [0, 1]


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a hint for an error message: "Did you mean 'resnet18'? ", or "" if no name is similar.

    Case, "-", "_" and spaces are ignored.

    Args:
        name: the name that was asked for
        known: existing names
    """
    plain: dict[str, str] = {}
    for other in known:
        plain.setdefault(_plain(other), other)
    near = difflib.get_close_matches(_plain(str(name)), plain, n=1, cutoff=ALIKE)
    return f"Did you mean {plain[near[0]]!r}? " if near else ""


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")
