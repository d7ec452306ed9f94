"""The panel's contexts without a browser, and jobs that nobody does."""

import os
from collections.abc import Callable, Iterator

import fiftyone as fo
import fiftyone.operators as foo
from bson import ObjectId
from fiftyone.operators.executor import ExecutionContext, ExecutionResult

from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.jobs import queue
from fiftyone_gradcam.jobs.processes import name_of

# "d" is only predicted, so that rows and columns of the matrix are not the same classes.
PAIRS = [
    *(("a", "a"), ("a", "b"), ("a", "b"), ("b", "b"), ("b", "a"), ("c", "a"), ("c", "d")),
    *((None, "a"), ("b", None)),
]


def context(dataset, state: dict, **params) -> ExecutionContext:
    """What FiftyOne calls a panel with; the state is changed in place."""
    return ExecutionContext(
        request_params={
            "dataset_name": dataset.name,
            "params": {"panel_id": "p", "panel_state": state, **params},
        },
        executor=foo.executor.Executor(),
    )


def requests(ctx, name: str) -> list[dict]:
    """Parameters of what the App was asked for."""
    return [
        request["params"]
        for request in ctx.executor.to_json()["requests"]
        if request["operator_uri"].rpartition("/")[2] == name
    ]


def end(service, job, error: str | None = None, result: dict | None = None) -> None:
    """Let a job end, with an error or with what it has come to."""
    if error is None:
        service.set_completed(ObjectId(job.id), result=ExecutionResult(result=result or {}))
    else:
        service.set_failed(ObjectId(job.id), result=ExecutionResult(error=error))


def looked(panel, dataset, state: dict) -> list:
    """What has ended since the last look."""
    return panel.read_jobs(context(dataset, state))


def make_dataset(name: str) -> fo.Dataset:
    """Labels, predictions of two runs, and heatmaps of both."""
    dataset = fo.Dataset(name)
    samples = [fo.Sample(filepath=f"/{number}.png") for number in range(len(PAIRS))]
    for number, (sample, (label, predicted)) in enumerate(zip(samples, PAIRS, strict=True)):
        sample["own"] = label and fo.Classification(label=label)
        confidence = 0.5 + number / 20
        sample["found"] = predicted and fo.Classification(label=predicted, confidence=confidence)
        sample["other"] = fo.Classification(label="a", confidence=0.5)
    samples[1].tags = ["test"]
    samples[3].tags = ["test"]
    dataset.add_samples(samples)
    for field in ("cam_of_other", "cam"):
        dataset.add_sample_field(field, fo.EmbeddedDocumentField, embedded_doc_type=fo.Heatmap)
    for field, run in (("found", "r"), ("cam", "r"), ("other", "o"), ("cam_of_other", "o")):
        describe_field(dataset, field, f"Of {run}", run=run, label_field="own")
    return dataset


def submitting(dataset, monkeypatch) -> Iterator[Callable]:
    """Queue jobs that nobody does: this process stands for their workers."""
    own = name_of(os.getpid())
    monkeypatch.setattr(queue.processes, "start_worker", lambda *args: own)
    made = []

    def submit(verb: str, **given):
        made.append(queue.submit(verb, {"samples": dataset, **given}, dataset))
        return made[-1]

    yield submit
    for job in made:
        queue.DelegatedOperationService().delete_operation(ObjectId(job.id))
