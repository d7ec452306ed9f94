"""Report the progress of a job, and detect its cancellation."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from datetime import UTC, datetime

from bson import ObjectId
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionProgress, ExecutionResult, ExecutionRunState

from ..progress import CancelledError
from .job import CANCELLED_AND_ENDED, EXPECTED, LEFT
from .pace import Pace

WRITE_SECONDS = 0.5
LOOK_SECONDS = 0.5
# The process is ended if a step takes longer than this after Cancel.
PATIENCE_SECONDS = 60.0


class Reporter:
    """A `progress` function that stores the progress in a delegated operation.

    A thread checks regularly whether the operation was canceled. If so, the next report raises
    `CancelledError`.

    Args:
        id: the id of the operation
    """

    def __init__(self, id: str | ObjectId):
        self.id, self.service = ObjectId(id), DelegatedOperationService()
        self.done, self.written, self.share = threading.Event(), 0.0, 0.0
        self.before = 0.0  # done by an interrupted job; shown until the work reports its own
        self.cancelled_at: float | None = None
        self.has_cancelled = False
        self.started, self.pace = datetime.now(UTC), None

    def __enter__(self) -> Reporter:
        with contextlib.suppress(ValueError):  # its document was deleted
            status = self.service.get(self.id).status
            self.before = float(status.progress or 0) if status else 0.0
        threading.Thread(target=self._watch, name="gradcam-cancel", daemon=True).start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.done.set()
        if error is not None:
            self.report(str(error) or type(error).__name__)
        if self.cancelled_at is not None:
            self._end()

    def __call__(self, done: int, total: int, message: str) -> None:
        """Report progress; it is written to the database at most every `WRITE_SECONDS`.

        Args:
            done, total: the number of steps done, and of all steps
            message: a description of the current work

        Raises:
            CancelledError: if the job was canceled
        """
        self._check()
        if self._is_due() or done >= total:
            share = min(done / max(total, 1), 1.0)
            self._note_pace(share)
            self.report(message, share)

    def note(self, message: str) -> None:
        """Report what is done, such as a download, without a change of the progress.

        Raises:
            CancelledError: if the job was canceled
        """
        self._check()
        if self._is_due():
            self.report(message)

    def _check(self) -> None:
        if self.cancelled_at is not None and not self.has_cancelled:
            self.has_cancelled = True
            raise CancelledError("Canceled")

    def _is_due(self) -> bool:
        """Return whether it is time to write to the database again."""
        now = time.monotonic()
        is_due = now - self.written >= WRITE_SECONDS
        self.written = now if is_due else self.written
        return is_due

    def report(self, message: str, share: float | None = None) -> None:
        """Store a message, and the completed fraction of the work in [0, 1]."""
        self.share = max(self.share, share or 0.0)
        shown = self.share if share is not None or self.pace is not None else self.before
        self.service.set_progress(self.id, ExecutionProgress(progress=shown, label=message))

    def _note_pace(self, share: float) -> None:
        """Store the remaining time to show, and when this was known."""
        if self.pace is None:
            expected = None
            with contextlib.suppress(ValueError):  # its document was deleted
                operation = self.service.get(self.id)
                expected = operation.metadata.get(EXPECTED)
                self.started = (operation.started_at or self.started).replace(tzinfo=UTC)
            self.pace = Pace(expected)
        seconds = (datetime.now(UTC) - self.started).total_seconds()
        found = {f"metadata.{LEFT}": [self.pace.update(share, seconds), seconds]}
        self.service._repo._collection.update_one({"_id": self.id}, {"$set": found})

    def _watch(self) -> None:
        while not self.done.wait(LOOK_SECONDS):
            try:
                state = self.service.get(self.id).run_state
            except ValueError:  # the operation was deleted
                state = ExecutionRunState.FAILED
            if state == ExecutionRunState.RUNNING:
                continue
            if self.cancelled_at is None:
                self.cancelled_at = time.monotonic()
            late = time.monotonic() - self.cancelled_at > PATIENCE_SECONDS
            if late and not self.has_cancelled and os.environ.get("FIFTYONE_GRADCAM_WORKER"):
                self.report("Canceled. Results written before are kept")
                self._end()
                os._exit(1)

    def _end(self) -> None:
        """Mark the canceled job as ended."""
        self.service.set_failed(self.id, result=ExecutionResult(error=CANCELLED_AND_ENDED))
