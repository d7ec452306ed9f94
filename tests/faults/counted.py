"""How many faults there were, by verb and kind, and what came of them; see `conftest`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

OUTCOMES = ("survived", "lost", "mixed", "not repeated", "left over", "other")
COUNTS: Counter = Counter()  # by verb, kind and outcome


class FaultError(AssertionError):
    """What must not come of a fault.

    Args:
        outcome: one of `OUTCOMES`
        message: what happened
    """

    def __init__(self, outcome: str, message: str):
        super().__init__(f"{outcome}: {message}")
        self.outcome = outcome


def expect(is_so: bool, outcome: str, message: str) -> None:
    """Raise a `FaultError` unless something is so."""
    if not is_so:
        raise FaultError(outcome, message)


@contextmanager
def repeating(message: str) -> Iterator[None]:
    """Around a call that is made again: whatever it raises, it cannot be repeated."""
    try:
        yield
    except Exception as error:
        raise FaultError("not repeated", f"{message}: {error!r}") from error


@contextmanager
def counted(verb: str, kind: str) -> Iterator[None]:
    """Count a fault by what comes of it."""
    outcome = "other"
    try:
        yield
        outcome = "survived"
    except FaultError as error:
        outcome = error.outcome
        raise
    finally:
        COUNTS[verb, kind, outcome] += 1
