"""A job: a function of this plugin that runs in another process, as a FiftyOne delegated
operation."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
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
# In the metadata of an operation: the remaining seconds to show (see `pace.Pace`) with the seconds
# since the start when they were estimated, and the seconds that the job is expected to take.
LEFT, EXPECTED = "left", "expected_seconds"
ENDED = ("completed", "failed", "cancelled", "lost")
SPELLED = {"cancelled": "canceled", "cancelling": "canceling"}  # states as texts spell them


class JobError(Exception):
    """Raised when a job has failed, with the error message of the function."""


@dataclass(repr=False)
class Job:
    """A function call that runs in another process.

    Attributes:
        id: id of the delegated operation
        verb: name of the function, such as "fine_tune"
        label: description for display
        state: "queued", "running", "cancelling", "completed", "failed", "cancelled" or "lost" (its
            process no longer exists)
        progress: completed fraction of the work, in [0, 1]
        message: the latest message; when the job has ended, its result or error
        seconds: time since the job started, in seconds; None if it has not started
        seconds_left: estimated remaining time, in seconds; None if there is no estimate yet
        began: time when the job was queued
        ended: time when the job ended, in UTC; None if it has not, or if its process was lost
        given: arguments of the function by name, as JSON; for an operation run by an orchestrator,
            the fields of its form
        can_repeat: whether the function can be called again with the same arguments
        outcome: the part of the result that the App shows
        log: path of the file with the output of the process
        form: values of the form that started the job, by field name; None if it was not started by
            a form
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
    ended: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended."""
        return self.state in ENDED

    @property
    def state_word(self) -> str:
        """The state, as texts spell it."""
        return SPELLED.get(self.state, self.state)

    def refresh(self) -> Job:
        """Update the attributes of this job, and return it.

        Raises:
            ValueError: if the job was deleted
        """
        vars(self).update(vars(load_job(self.id)))
        return self

    def cancel(self) -> Job:
        """Cancel this job, and return it (see `cancel_job`)."""
        cancel_job(self.id)
        return self.refresh()

    def wait(self, seconds: float | None = None) -> Job:
        """Wait until this job has ended, reload its dataset, and return the job.

        Args:
            seconds: maximum time to wait; by default (None), no limit

        Raises:
            JobError: if the job failed
            CancelledError: if the job was canceled
            TimeoutError: if the job has not ended in time
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
        return f"job {self.label!r}: {self.state_word}, {self.progress:.0%}, {self.message}"

    __repr__ = __str__  # short in lists of jobs


def load_job(id: str | ObjectId) -> Job:
    """Load a job by its id, including jobs that another process started.

    Args:
        id: `Job.id`, which the App shows too

    Returns:
        the `Job` in its current state

    Raises:
        ValueError: if there is no such job
    """
    if not ObjectId.is_valid(id):
        raise ValueError(f"{id!r} is not the ID of a job. list_jobs(dataset) lists all jobs")
    return job_of(DelegatedOperationService().get(ObjectId(id)))


def cancel_job(id: str | ObjectId) -> Job:
    """Cancel a job; its results so far are kept.

    The process notices the cancellation within about a second, and ends at its next step.

    Raises:
        ValueError: if there is no such job
    """
    service, id = DelegatedOperationService(), ObjectId(id)
    result = ExecutionResult(error=CANCELLED)
    if service.set_failed(id, result=result, required_state=ExecutionRunState.QUEUED):
        service.set_progress(id, ExecutionProgress(label="Canceled before it started"))
    else:
        service.set_failed(id, result=result, required_state=ExecutionRunState.RUNNING)
    return load_job(id)


def job_of(operation: DelegatedOperationDocument) -> Job:
    """Return the job of a delegated operation."""
    state = _state(operation)
    status, result = operation.status, operation.result
    progress = float(status.progress or 0) if status else 0.0
    message = (status.label if status else None) or ""
    error = result.error if result else None
    if state in ("lost", "cancelling"):
        message = LOST if state == "lost" else "Canceling ..."
    elif state == "failed" and not message:
        message = (error or "").strip().rpartition("\n")[2]
    seconds = left = None
    if operation.started_at is not None:
        ends = [operation.completed_at, operation.failed_at, datetime.now(UTC).replace(tzinfo=None)]
        end = next(x for x in ends if x is not None and (state in ENDED or x is ends[-1]))
        seconds = max((end - operation.started_at).total_seconds(), 0.0)
        if state == "running":
            left = _left(operation.metadata or {}, seconds)
    given = operation.context.request_params.get("params", {})
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
        ended=(operation.completed_at or operation.failed_at) if state in ENDED else None,
    )


def _left(facts: Mapping, seconds: float) -> float | None:
    """Return the remaining time of a running job in seconds; None if it is not known.

    Args:
        facts: the metadata of its operation
        seconds: time since the job started
    """
    left, at = facts.get(LEFT) or (facts.get(EXPECTED), 0.0)
    if left is None or seconds - at >= left:  # it should have ended by now
        return None
    return left if LEFT in facts else left - seconds


def _form_of(operation: DelegatedOperationDocument) -> dict | None:
    text = (operation.metadata or {}).get("form")
    return json.loads(text) if text else None


def _state(operation: DelegatedOperationDocument) -> str:
    """Return the state of a job; record it as failed if its process no longer exists."""
    found, alive = operation.run_state, processes.is_alive(operation.run_link)
    gone = alive is False
    if gone and found == ExecutionRunState.QUEUED:  # another job's worker may run it
        gone = not processes.has_worker((operation.metadata or {}).get("target", ""))
    if found in (ExecutionRunState.QUEUED, ExecutionRunState.RUNNING) and gone:
        result = ExecutionResult(error=LOST)
        service = DelegatedOperationService()
        if service.set_failed(operation.id, result=result, required_state=found) is not None:
            return "lost"
        operation.from_pymongo(service.get(operation.id)._doc)  # the job has just ended
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
    """Delete the file with the output of a job's process."""
    if log := log_file(operation):
        log.unlink(missing_ok=True)


def log_file(operation: DelegatedOperationDocument) -> Path | None:
    """Path of the file with the output of a job's process; None for an orchestrator's operation."""
    folder = (operation.metadata or {}).get("log")
    return Path(folder) / f"{operation.id}.log" if folder else None
