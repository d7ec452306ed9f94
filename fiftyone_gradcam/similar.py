"""What somebody may have meant by a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ALIKE = 0.7  # of 1: how similar two names are at least, in either case


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A hint for an error message: "Did you mean 'resnet18'? ", or "" if nothing is similar.

    Upper and lower case do not count, nor do "-", "_" and spaces.

    Args:
        name: what was asked for
        known: the names that there are
    """
    plain: dict[str, str] = {}
    for other in known:
        plain.setdefault(_plain(other), other)
    near = difflib.get_close_matches(_plain(str(name)), plain, n=1, cutoff=ALIKE)
    return f"Did you mean {plain[near[0]]!r}? " if near else ""


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")
