"""What may happen once only, whichever thread of the server comes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

MOST = 1000


class Once:
    """Remembers what has happened, as far as that many others have not happened since.

    Args:
        most: how much is remembered
    """

    def __init__(self, most: int = MOST):
        self.most, self._seen, self._lock = most, OrderedDict(), threading.Lock()

    def first(self, what: Hashable) -> bool:
        """Whether this is the first time that something happens."""
        with self._lock:
            if what in self._seen:
                return False
            self._seen[what] = None
            while len(self._seen) > self.most:
                self._seen.popitem(last=False)
            return True
