"""What a check of `doctor` finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The outcome of a check: whether all is well, what was found, and how to fix it.

    Attributes:
        ok: whether the plugin works as it is
        text: what was found
        remedy: what to do, empty if nothing needs doing
        fix: does it, and says what it did; None where a person must
    """

    ok: bool
    text: str
    remedy: str = ""
    fix: Callable[[], str] | None = None

    def __str__(self) -> str:
        return f"{'ok  ' if self.ok else 'FAIL'}  {self.text}" + (
            f"\n      {self.remedy}" if self.remedy else ""
        )
