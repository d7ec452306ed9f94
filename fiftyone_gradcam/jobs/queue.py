"""Queue function calls as FiftyOne delegated operations, and list their jobs."""

from __future__ import annotations

import contextlib
import json
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

from ..dataset.fields import OWNER, root_dataset
from ..dataset.files import dataset_folder, files_folder
from ..dataset.writing import lock_of
from . import calls, measure, processes
from .job import EXPECTED, Job, forget_log, job_of, load_job, log_file

MOST = 50  # jobs that are listed for a dataset
# FiftyOne's settings with the locations of its database and files.
SETTINGS = (
    *("database_uri", "database_name", "database_dir", "plugins_dir", "default_dataset_dir"),
    *("model_zoo_dir", "dataset_zoo_dir", "default_ml_backend", "max_thread_pool_workers"),
)


def submit(
    verb: str,
    given: dict,
    dataset: fo.Dataset | None,
    form: dict | None = None,
    expected: float | None = None,
    progress: float = 0.0,
) -> Job:
    """Queue a function call, and start a process that runs it when it is its turn.

    Args:
        verb: name of the function, which is the name of an operator of this plugin
        given: arguments of the function, by name
        dataset: the dataset that the job belongs to; None if there is none
        form: values of the form that started the job, by field name, so that the form can be filled
            in again
        expected: how long the job will take, as its form estimated, in seconds; None: not known
        progress: the fraction of the work that an interrupted job has done before

    Raises:
        ValueError: if an argument cannot be serialized, or the plugin is not installed
    """
    call = calls.encode(given)
    measure.stop_measuring()
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
    target = operator.target(given) or lock_of(dataset)
    service = DelegatedOperationService()
    operation = service.queue_operation(
        operator=uri,
        context=ExecutionContext(
            request_params={**own, "delegated": True, "params": {"call": call}}
        ),
        label=operator.job_label(given),
        metadata={
            "target": target,
            "log": str(_log_folder(dataset)),
            "form": _form(form),
            EXPECTED: expected,
        },
    )
    if progress:
        service.set_progress(operation.id, ExecutionProgress(progress=progress))
    try:
        worker = processes.start_worker(target, settings(), log_file(operation))
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


def note_done(verb: str, label: str, dataset: fo.Dataset, outcome: dict) -> Job:
    """List a call that was done in this process, as a completed job.

    Args:
        verb: name of the function
        label: description for display
        dataset: the dataset that the job belongs to
        outcome: the part of the result that the App shows, with a "summary"
    """
    service = DelegatedOperationService()
    own = {"dataset_name": dataset.name, "dataset_id": str(dataset._doc.id), "params": {}}
    operation = service.queue_operation(
        operator=f"{OWNER}/{verb}",
        context=ExecutionContext(request_params=own),
        label=label,
    )
    service.set_progress(operation.id, ExecutionProgress(progress=1.0, label=outcome["summary"]))
    service.set_completed(operation.id, result=ExecutionResult(result=outcome))
    return load_job(operation.id)


def call_of(id: object, uri: str, call: object) -> str:
    """Check that an operation was queued by `submit` and is running now, and return its call.

    Args:
        id: id of the operation that is being executed; None if none is
        uri: URI of the operator
        call: the expected call of the operation

    Raises:
        PermissionError: if there is no such operation; a call cannot come from anywhere else
    """
    operation = None
    if isinstance(id, ObjectId):
        with contextlib.suppress(ValueError):
            operation = DelegatedOperationService().get(id)
    own = (operation.context.request_params.get("params") or {}) if operation else {}
    is_ours = operation is not None and "target" in (operation.metadata or {})
    is_now = is_ours and operation.run_state == ExecutionRunState.RUNNING
    if not (is_now and operation.operator == uri and call and own.get("call") == call):
        raise PermissionError(
            "The parameter 'call' is for jobs that this plugin has queued. Leave it out, and pass "
            "the values of the form"
        )
    return call


def next_operation(target: str) -> DelegatedOperationDocument | None:
    """Return the oldest queued operation of a target."""
    found = DelegatedOperationService()._repo.list_operations(
        run_state=ExecutionRunState.QUEUED,
        paging=DelegatedOperationPagingParams(sort_direction=1, limit=1),
        **{"metadata.target": target},
    )
    return found[0] if found else None


def list_jobs(samples: fo.core.collections.SampleCollection) -> list[Job]:
    """List the latest jobs of a dataset, newest first.

    At most 50 jobs are listed. A job whose process no longer exists is "lost".

    Args:
        samples: a dataset or view

    Returns:
        a `Job` for each, with its state, progress and message

    Raises:
        TypeError: if `samples` is not a FiftyOne dataset or view of images
    """
    found = DelegatedOperationService().list_operations(
        dataset_id=root_dataset(samples)._doc.id,
        paging=DelegatedOperationPagingParams(limit=MOST),
    )
    return [job_of(x) for x in found if x.operator.startswith(f"{OWNER}/")]


def repeat_job(id: str | ObjectId, **options) -> Job:
    """Run an ended job again with the same arguments, except those in `options`.

    Raises:
        ValueError: if there is no such job, it has not ended, or its dataset was deleted
    """
    operation = DelegatedOperationService().get(ObjectId(id))
    job, call = job_of(operation), operation.context.request_params["params"].get("call")
    if not job.has_ended or call is None:
        why = "has not ended" if call else "was not started as a job of this plugin"
        raise ValueError(f"{job}: it cannot be run again, because it {why}")
    dataset_id = operation.context.request_params.get("dataset_id")
    return submit(
        operation.operator.rpartition("/")[2],
        calls.decode(call, dataset_id) | options,
        dataset_id and fo.core.odm.load_dataset(id=dataset_id),
        job.form,
        progress=job.progress if options.get("resume") else 0.0,
    )


def given_samples(id: str | ObjectId) -> fo.core.collections.SampleCollection:
    """Return the dataset or view that a job was called with.

    Raises:
        ValueError: if its dataset was deleted, or it was not started as a job of this plugin
    """
    request = DelegatedOperationService().get(ObjectId(id)).context.request_params
    given = calls.decode(request["params"].get("call", ""), request.get("dataset_id"))
    return given["samples"]


def forget_job(id: str | ObjectId) -> None:
    """Remove an ended job from the list."""
    operation = DelegatedOperationService().get(ObjectId(id))
    if job_of(operation).has_ended:
        forget_log(operation)
        DelegatedOperationService().delete_operation(operation.id)


def _form(form: dict | None) -> str | None:
    """Values of a form as JSON text, because field names may contain characters that MongoDB does
    not allow."""
    if form is None:
        return None
    try:
        return json.dumps({name: value for name, value in form.items() if name != "call"})
    except (TypeError, ValueError):  # a value that no form can hold
        return None


def settings() -> dict[str, str]:
    """Environment variables with which another process uses the same database and files."""
    own = {f"FIFTYONE_{name.upper()}": getattr(fo.config, name, None) for name in SETTINGS}
    own = {name: str(value) for name, value in own.items() if value is not None}
    return own | {"FIFTYONE_SHOW_PROGRESS_BARS": "false", "FIFTYONE_DO_NOT_TRACK": "true"}


def _log_folder(dataset: fo.Dataset | None) -> Path:
    return Path(dataset_folder(dataset) if dataset is not None else files_folder()) / "jobs"
