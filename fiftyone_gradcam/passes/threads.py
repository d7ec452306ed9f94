"""torch's number of threads, which passes in one process share."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator

import torch


class _KeepingNumThreads(ContextDecorator):
    """Gives torch its number of threads back when the last of the passes that overlap ends.

    Workers of a pass set their own number, and torch passes the last one set on to new threads:
    a pass that starts beside another must not take that for the number to restore.
    """

    def __init__(self):
        self.lock, self.passes, self.whole = threading.Lock(), 0, 1

    def __enter__(self) -> None:
        with self.lock:
            if not self.passes:
                self.whole = torch.get_num_threads()
            self.passes += 1

    def __exit__(self, *_) -> None:
        with self.lock:
            self.passes -= 1
            if not self.passes:
                torch.set_num_threads(self.whole)


keeping_num_threads = _KeepingNumThreads()
