"""Handle the events of a panel one after the other, in the order in which they arrive."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Turns:
    """A queue of events for each panel; a lock would not keep their order."""

    def __init__(self):
        self._lines: dict[Hashable, deque[threading.Event]] = {}
        self._lock = threading.Lock()

    def is_taken(self, whose: Hashable) -> bool:
        """Return whether an event of a panel is being handled."""
        with self._lock:
            return whose in self._lines

    @contextmanager
    def turn(self, whose: Hashable) -> Iterator[None]:
        """Wait until all earlier events have been handled, and handle one in the body.

        Args:
            whose: the id of the panel
        """
        own = threading.Event()
        with self._lock:
            line = self._lines.setdefault(whose, deque())
            line.append(own)
            is_first = len(line) == 1
        if not is_first:
            own.wait()
        try:
            yield
        finally:
            with self._lock:
                line.popleft()
                if line:
                    line[0].set()
                else:
                    del self._lines[whose]
