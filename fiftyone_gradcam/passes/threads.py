"""torch's number of threads, which all passes in a process share."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator

import torch


class _KeepingNumThreads(ContextDecorator):
    """Restore torch's number of threads when the last of several overlapping passes ends.

    Workers of a pass set their own number of threads, and torch applies the last number set to new
    threads. A pass that starts during another one must not mistake that for the number to restore.
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
