"""Ensure that something happens only once, in whichever thread of the server."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

MOST = 1000


class Once:
    """A set of recent events.

    Args:
        most: the number of events that are remembered
    """

    def __init__(self, most: int = MOST):
        self.most, self._seen, self._lock = most, OrderedDict(), threading.Lock()

    def first(self, what: Hashable) -> bool:
        """Record an event, and return whether it is new."""
        with self._lock:
            if what in self._seen:
                return False
            self._seen[what] = None
            while len(self._seen) > self.most:
                self._seen.popitem(last=False)
            return True
