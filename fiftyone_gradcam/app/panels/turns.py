"""Events of one panel are answered one after the other, in the order in which they come."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Turns:
    """A line for each panel; a lock would let any of those that wait go first."""

    def __init__(self):
        self._lines: dict[Hashable, deque[threading.Event]] = {}
        self._lock = threading.Lock()

    def is_taken(self, whose: Hashable) -> bool:
        """Whether an event of a panel is being answered."""
        with self._lock:
            return whose in self._lines

    @contextmanager
    def turn(self, whose: Hashable) -> Iterator[None]:
        """Wait until all that came before have been answered.

        Args:
            whose: the panel's id
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
