"""The result of a check of `doctor`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The result of a check: whether it passed, what was found, and how to fix it.

    Attributes:
        ok: whether the check passed
        text: what was found
        remedy: what the user can do; empty if nothing needs to be done
        fix: a function that fixes the problem and returns a message; None if only the user can
    """

    ok: bool
    text: str
    remedy: str = ""
    fix: Callable[[], str] | None = None

    def __str__(self) -> str:
        return f"{'ok  ' if self.ok else 'FAIL'}  {self.text}" + (
            f"\n      {self.remedy}" if self.remedy else ""
        )
