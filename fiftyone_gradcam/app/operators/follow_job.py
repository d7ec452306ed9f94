"""Show an import in a box that every page of the App has, and open what it has made.

An App without a dataset has no place for a panel, and the App closes all panels when it switches
to another dataset. `imports.js` draws the box.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import fiftyone.operators as foo

from ...jobs.job import Job, cancel_job, load_job
from ...jobs.queue import repeat_job
from ..showing import show
from ..texts import duration
from .call import Call
from .labels import in_labels
from .params import TEXT, Kind


class ImportCall(Call):
    """A call of the box about its job."""

    kinds: ClassVar[dict[str, Kind]] = {"job": TEXT}
    needs_dataset = False

    def answer(self, dataset, given: dict) -> dict:
        """Answer with the state of the job."""
        return state_of(self.job(str(given["job"])))

    def job(self, id: str) -> Job:
        """Return the job."""
        return load_job(id)


class ImportState(ImportCall):
    """Answers how far an import is."""

    name = "import_state"


class CancelImport(ImportCall):
    """Cancels an import."""

    name = "cancel_import"

    def job(self, id: str) -> Job:
        """Return the job, which is canceled."""
        return cancel_job(load_job(id).id)


class RepeatImport(ImportCall):
    """Starts an import that has ended once more, without the files that it has imported."""

    name = "repeat_import"

    def job(self, id: str) -> Job:
        """Return the new job."""
        old = load_job(id)
        if old.verb != "import_folders":
            raise ValueError(f"{old} is not an import")
        return repeat_job(old.id)


def state_of(job: Job) -> dict:
    """Return what the box shows of a job."""
    return {
        "id": job.id,
        "label": job.label,
        "state": job.state,
        "state_word": job.state_word,
        "has_ended": job.has_ended,
        "progress": job.progress,
        "message": in_labels(job.message, job.verb),
        "left": None if job.seconds_left is None else duration(job.seconds_left),
        "dataset": job.outcome.get("dataset"),
        "can_repeat": job.can_repeat,
        "verb": job.verb,
        "form": job.form,
    }


class FollowJob(foo.Operator):
    """Opens the dataset that a job has made; the box calls it."""

    name = "follow_job"

    @property
    def config(self) -> foo.OperatorConfig:
        """The configuration for FiftyOne: unlisted."""
        return foo.OperatorConfig(
            name=self.name, label=self.name, unlisted=True, execute_as_generator=True
        )

    def execute(self, ctx) -> Iterator:
        """Yield the messages that make the App open the dataset."""
        try:
            job = load_job(str(ctx.params.get("job")))
        except ValueError as error:
            yield ctx.ops.notify(str(error), variant="error")
            return
        if job.state == "completed":
            yield from show(ctx, job.outcome)
