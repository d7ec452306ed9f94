"""Jobs: verbs queued as FiftyOne's delegated operations, and what became of them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
from bson import ObjectId
from fiftyone.factory import DelegatedOperationPagingParams
from fiftyone.factory.repos.delegated_operation_doc import DelegatedOperationDocument
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import (
    ExecutionContext,
    ExecutionProgress,
    ExecutionResult,
    ExecutionRunState,
)

from ..cancelling import CancelledError
from ..dataset.fields import OWNER, root_dataset
from ..dataset.files import dataset_folder, files_folder
from . import calls, processes

CANCELLED = "Cancelled"
CANCELLED_AND_ENDED = "Cancelled, and ended"
LOST = (
    "The process of this job ended before its work did: it was killed, or the machine was "
    "restarted, or ran out of memory"
)
MOST = 50  # jobs of a dataset that are looked at
# Of FiftyOne's settings, those that say where things are.
SETTINGS = (
    *("database_uri", "database_name", "database_dir", "plugins_dir", "default_dataset_dir"),
    *("model_zoo_dir", "dataset_zoo_dir", "default_ml_backend", "max_thread_pool_workers"),
)
ENDED = ("completed", "failed", "cancelled", "lost")


class JobError(Exception):
    """A job failed; the message is that of the verb."""


@dataclass(frozen=True)
class Job:
    """A verb that is called in another process.

    Attributes:
        id: of the delegated operation
        verb: such as "fine_tune"
        label: what it does, in words
        state: "queued", "running", "cancelling", "completed", "failed", "cancelled" or "lost"
            (its process is gone)
        progress: share of the work, in [0, 1]
        message: what it told last; of an ended job its result, or what went wrong
        seconds: since it began; None of one that has not
        seconds_left: an estimate; None while there is none
        began: when it was queued
        given: arguments of the verb, by name, as JSON has them; of an operation that an
            orchestrator was handed, the fields of its form
        can_repeat: whether it can be called again with the same arguments
        outcome: what the App is to show of its result
        log: file of what its process printed
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

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ENDED

    def refresh(self) -> Job:
        """The same job as it is now.

        Raises:
            ValueError: if it was forgotten
        """
        return load_job(self.id)

    def cancel(self) -> Job:
        """End it in good order; see `cancel_job`."""
        return cancel_job(self.id)

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
        while not (job := self.refresh()).has_ended:
            if end is not None and time.monotonic() > end:
                raise TimeoutError(f"{job} has not ended after {seconds:g} seconds")
            time.sleep(0.5)
        job._reload_dataset()
        if job.state == "cancelled":
            raise CancelledError(job.message)
        if job.state != "completed":
            raise JobError(job.message)
        return job

    def _reload_dataset(self) -> None:
        id = DelegatedOperationService().get(ObjectId(self.id)).dataset_id
        if id is not None:
            fo.core.odm.load_dataset(id=id, reload=True)

    def __str__(self) -> str:
        return f"job {self.label!r}: {self.state}, {self.progress:.0%}, {self.message}"


def submit(verb: str, given: dict, dataset: fo.Dataset | None) -> Job:
    """Queue a verb, and start a process that calls it when it is its turn.

    Args:
        verb: the name of an operator of this plugin
        given: the verb's arguments, by name
        dataset: to which the job belongs; None if to none

    Raises:
        ValueError: if an argument cannot be written down, or the plugin is not installed
    """
    call = calls.encode(given)
    uri = f"{OWNER}/{verb}"
    if not foo.operator_exists(uri):
        raise ValueError(
            f"A job needs the plugin in {fo.config.plugins_dir!r}, where FiftyOne looks for it. "
            f"`python -m fiftyone_gradcam doctor --fix` links it there"
        )
    own = {}
    if dataset is not None:
        own = {"dataset_name": dataset.name, "dataset_id": str(dataset._doc.id)}
    operator = foo.get_operator(uri)
    target = operator.target(given) or f"dataset {own['dataset_id']}"
    service = DelegatedOperationService()
    operation = service.queue_operation(
        operator=uri,
        context=ExecutionContext(
            request_params={**own, "delegated": True, "params": {"call": call}}
        ),
        label=operator.job_label(given),
        delegation_target=None,
        metadata={"target": target, "log": str(_log_folder(dataset))},
    )
    try:
        worker = processes.start_worker(target, _settings(), _log(operation))
    except BaseException:
        service.delete_operation(operation.id)
        raise
    service._repo.update_run_state(
        operation.id,
        ExecutionRunState.QUEUED,
        run_link=worker,
        required_state=ExecutionRunState.QUEUED,
    )
    return load_job(operation.id)


def next_operation(target: str) -> DelegatedOperationDocument | None:
    """The oldest queued operation of a target."""
    found = DelegatedOperationService()._repo.list_operations(
        run_state=ExecutionRunState.QUEUED,
        paging=DelegatedOperationPagingParams(sort_direction=1, limit=1),
        **{"metadata.target": target},
    )
    return found[0] if found else None


def load_job(id: str | ObjectId) -> Job:
    """A job by its id.

    Raises:
        ValueError: if there is none
    """
    return _job(DelegatedOperationService().get(ObjectId(id)))


def list_jobs(samples: fo.core.collections.SampleCollection) -> list[Job]:
    """The last jobs of a dataset, newest first; those whose process is gone are told as lost."""
    found = DelegatedOperationService().list_operations(
        dataset_id=root_dataset(samples)._doc.id,
        paging=DelegatedOperationPagingParams(limit=MOST),
    )
    return [_job(x) for x in found if x.operator.startswith(f"{OWNER}/")]


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


def repeat_job(id: str | ObjectId, **options) -> Job:
    """Call the verb of an ended job again, with the same arguments but for some options.

    Raises:
        ValueError: if there is none, it has not ended, or its dataset is gone
    """
    operation = DelegatedOperationService().get(ObjectId(id))
    job, call = _job(operation), operation.context.request_params["params"].get("call")
    if not job.has_ended or call is None:
        why = "has not ended" if call else "was not begun as a job of this plugin"
        raise ValueError(f"{job}: it cannot be called again, for it {why}")
    dataset_id = operation.context.request_params.get("dataset_id")
    return submit(
        operation.operator.rpartition("/")[2],
        calls.decode(call) | options,
        dataset_id and fo.core.odm.load_dataset(id=dataset_id),
    )


def forget_job(id: str | ObjectId) -> None:
    """Take an ended job off the list."""
    operation = DelegatedOperationService().get(ObjectId(id))
    if _job(operation).has_ended:
        forget_log(operation)
        DelegatedOperationService().delete_operation(operation.id)


def _job(operation: DelegatedOperationDocument) -> Job:
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
    log = _log(operation)
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
    )


def _state(operation: DelegatedOperationDocument) -> str:
    """The state of a job; one whose process is gone is recorded as failed."""
    found, alive = operation.run_state, processes.is_alive(operation.run_link)
    gone = alive is False
    if gone and found == ExecutionRunState.QUEUED:  # another's worker may have its turn for it
        gone = not processes.has_worker(operation.metadata["target"])
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


def _settings() -> dict[str, str]:
    """Environment variables by which another process finds the same database and files."""
    own = {f"FIFTYONE_{name.upper()}": getattr(fo.config, name, None) for name in SETTINGS}
    own = {name: str(value) for name, value in own.items() if value is not None}
    return own | {"FIFTYONE_SHOW_PROGRESS_BARS": "false", "FIFTYONE_DO_NOT_TRACK": "true"}


def _log_folder(dataset: fo.Dataset | None) -> Path:
    return Path(dataset_folder(dataset) if dataset is not None else files_folder()) / "jobs"


def forget_log(operation: DelegatedOperationDocument) -> None:
    """Delete the file of what the process of a job printed."""
    if log := _log(operation):
        log.unlink(missing_ok=True)


def _log(operation: DelegatedOperationDocument) -> Path | None:
    folder = (operation.metadata or {}).get("log")
    return Path(folder) / f"{operation.id}.log" if folder else None
