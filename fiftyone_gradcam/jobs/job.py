"""A job: a verb that is called in another process, as one of FiftyOne's delegated operations."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import fiftyone as fo
from bson import ObjectId
from fiftyone.factory.repos.delegated_operation_doc import DelegatedOperationDocument
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionProgress, ExecutionResult, ExecutionRunState

from ..progress import CancelledError
from . import processes

CANCELLED = "Cancelled"
CANCELLED_AND_ENDED = "Cancelled, and ended"
LOST = (
    "The process of this job ended before its work did: it was killed, or the machine was "
    "restarted, or ran out of memory"
)
ENDED = ("completed", "failed", "cancelled", "lost")


class JobError(Exception):
    """A job failed; the message is that of the verb."""


@dataclass(repr=False)
class Job:
    """A verb that is called in another process.

    Attributes:
        id: of the delegated operation
        verb: such as "fine_tune"
        label: what it does, in words
        state: "queued", "running", "cancelling", "completed", "failed", "cancelled" or "lost"
            (its process is gone)
        progress: share of the work, in [0, 1]
        message: what it said last; of an ended job its result, or what went wrong
        seconds: since it began; None of one that has not
        seconds_left: an estimate; None while there is none
        began: when it was queued
        given: arguments of the verb, by name, as JSON has them; of an operation that an
            orchestrator was handed, the fields of its form
        can_repeat: whether it can be called again with the same arguments
        outcome: what the App is to show of its result
        log: file of what its process printed
        form: what was filled in to begin it, by the names of the form's fields; None of a job that
            was not started by a form
    """

    id: str
    verb: str
    label: str
    state: str
    progress: float
    message: str
    seconds: float | None
    seconds_left: float | None
    began: datetime
    given: dict
    can_repeat: bool
    outcome: dict
    log: str | None
    form: dict | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ENDED

    def refresh(self) -> Job:
        """Look how it is now; returns itself.

        Raises:
            ValueError: if it was forgotten
        """
        vars(self).update(vars(load_job(self.id)))
        return self

    def cancel(self) -> Job:
        """End it in good order; see `cancel_job`. Returns itself."""
        cancel_job(self.id)
        return self.refresh()

    def wait(self, seconds: float | None = None) -> Job:
        """Wait for its end, and reload its dataset.

        Args:
            seconds: how long at most; None for ever

        Raises:
            JobError: if it failed
            CancelledError: if it was cancelled
            TimeoutError: if it has not ended in time
        """
        end = None if seconds is None else time.monotonic() + seconds
        while not self.refresh().has_ended:
            if end is not None and time.monotonic() > end:
                raise TimeoutError(f"{self} has not ended after {seconds:g} seconds")
            time.sleep(0.5)
        self._reload_dataset()
        if self.state == "cancelled":
            raise CancelledError(self.message)
        if self.state != "completed":
            raise JobError(self.message)
        return self

    def _reload_dataset(self) -> None:
        id = DelegatedOperationService().get(ObjectId(self.id)).dataset_id
        if id is not None:
            fo.core.odm.load_dataset(id=id, reload=True)

    def __str__(self) -> str:
        return f"job {self.label!r}: {self.state}, {self.progress:.0%}, {self.message}"

    __repr__ = __str__  # in lists: the rest is for code


def load_job(id: str | ObjectId) -> Job:
    """A job by its id, which another process may have started.

    Args:
        id: as `Job.id` and the App have it

    Returns:
        the `Job`, as it is now

    Raises:
        ValueError: if there is none
    """
    if not ObjectId.is_valid(id):
        raise ValueError(
            f"{id!r} is not the ID of a job. list_jobs(dataset) lists those that there are"
        )
    return job_of(DelegatedOperationService().get(ObjectId(id)))


def cancel_job(id: str | ObjectId) -> Job:
    """End a job in good order: what it has done so far stays, and can be used.

    The process sees it within a second or so, and ends at its next step.

    Raises:
        ValueError: if there is none
    """
    service, id = DelegatedOperationService(), ObjectId(id)
    result = ExecutionResult(error=CANCELLED)
    if service.set_failed(id, result=result, required_state=ExecutionRunState.QUEUED):
        label = "Cancelled before it began"
        service.set_progress(id, ExecutionProgress(progress=0.0, label=label))
    else:
        service.set_failed(id, result=result, required_state=ExecutionRunState.RUNNING)
    return load_job(id)


def job_of(operation: DelegatedOperationDocument) -> Job:
    """The job that an operation stands for."""
    state = _state(operation)
    status, result = operation.status, operation.result
    progress = float(status.progress or 0) if status else 0.0
    message = (status.label if status else None) or ""
    error = result.error if result else None
    if state in ("lost", "cancelling"):
        message = LOST if state == "lost" else "Cancelling ..."
    elif state == "failed" and not message:
        message = (error or "").strip().rpartition("\n")[2]
    seconds = left = None
    if operation.started_at is not None:
        ends = [operation.completed_at, operation.failed_at, datetime.now(UTC).replace(tzinfo=None)]
        end = next(x for x in ends if x is not None and (state in ENDED or x is ends[-1]))
        seconds = max((end - operation.started_at).total_seconds(), 0.0)
        if state == "running" and progress > 0.004 and seconds > 4:
            left = seconds * (1 - progress) / progress
    given = operation.context.request_params.get("params") or {}
    outcome = result.result if result and isinstance(result.result, dict) else {}
    log = log_file(operation)
    return Job(
        id=str(operation.id),
        verb=operation.operator.rpartition("/")[2],
        label=operation.label,
        state=state,
        progress=1.0 if state == "completed" else progress,
        message=message,
        seconds=seconds,
        seconds_left=left,
        began=operation.queued_at or operation.scheduled_at,
        given=json.loads(given["call"]) if "call" in given else given,
        can_repeat="call" in given,
        outcome=outcome,
        log=str(log) if log and log.exists() else None,
        form=_form_of(operation),
    )


def _form_of(operation: DelegatedOperationDocument) -> dict | None:
    text = (operation.metadata or {}).get("form")
    return json.loads(text) if text else None


def _state(operation: DelegatedOperationDocument) -> str:
    """The state of a job; one whose process is gone is recorded as failed."""
    found, alive = operation.run_state, processes.is_alive(operation.run_link)
    gone = alive is False
    if gone and found == ExecutionRunState.QUEUED:  # another's worker may have its turn for it
        gone = not processes.has_worker((operation.metadata or {}).get("target", ""))
    if found in (ExecutionRunState.QUEUED, ExecutionRunState.RUNNING) and gone:
        result = ExecutionResult(error=LOST)
        service = DelegatedOperationService()
        if service.set_failed(operation.id, result=result, required_state=found) is not None:
            return "lost"
        operation.from_pymongo(service.get(operation.id)._doc)  # it ended just now
        found = operation.run_state
    if found != ExecutionRunState.FAILED:
        return {"scheduled": "queued"}.get(found, found)
    error = operation.result.error if operation.result else None
    if error == LOST:
        return "lost"
    if error not in (CANCELLED, CANCELLED_AND_ENDED):
        return "failed"
    is_ending = error == CANCELLED and operation.started_at is not None and alive
    return "cancelling" if is_ending else "cancelled"


def forget_log(operation: DelegatedOperationDocument) -> None:
    """Delete the file of what the process of a job printed."""
    if log := log_file(operation):
        log.unlink(missing_ok=True)


def log_file(operation: DelegatedOperationDocument) -> Path | None:
    """Where its process prints to; None of an orchestrator's."""
    folder = (operation.metadata or {}).get("log")
    return Path(folder) / f"{operation.id}.log" if folder else None
