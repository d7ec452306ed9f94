"""Which interrupted jobs and trainings can be resumed, and with which arguments."""

from __future__ import annotations

from collections.abc import Mapping

import fiftyone as fo

from ...dataset.overview import Overview
from ...dataset.run_files import can_resume
from ...jobs.job import Job
from ...jobs.queue import list_jobs
from .next_step import MOST_NEXT, RESUME

# Verbs that store partial results, and continue from them when they are called again.
WITH_PARTS = (
    *("find_label_issues", "import_folders", "compute_embeddings", "show_embeddings", "retrain"),
)


def resumes_next(state, card: dict) -> bool:
    """Return whether a button of the next step resumes the same job as that of a card."""
    return not state.is_busy and any(
        one["how"] == RESUME
        and one["verb"] == card["verb"]
        and card.get("key") in (one["given"].get("key"), one["given"].get("run"))
        for one in (state.next or ())[:MOST_NEXT]
    )


def ended_job(dataset: fo.Dataset, verb: str, own: Mapping) -> Job | None:
    """Return the newest job with some arguments; None if it has not ended or cannot be repeated."""
    jobs = (job for job in list_jobs(dataset) if job.verb == verb)
    newest = next((job for job in jobs if own.items() <= job.given.items()), None)
    return newest if newest is not None and newest.has_ended and newest.can_repeat else None


def is_partly_predicted(dataset: fo.Dataset, run: str | None) -> bool:
    """Return whether the newest prediction with a run was interrupted, and can be resumed."""
    job = ended_job(dataset, "predict", {"run": run}) if run else None
    return job is not None and job.state != "completed" and job.progress > 0


def interrupted_training(dataset: fo.Dataset, found: Overview) -> str | None:
    """Return the key of the newest training if it can be resumed; None if it has completed.

    A training that was killed or failed has not recorded what it did.
    """
    if found.canceled:
        return found.newest_run
    job = next((job for job in list_jobs(dataset) if job.verb == "fine_tune"), None)
    if job is None or not job.has_ended or job.state == "completed" or not job.can_repeat:
        return None
    key = str(job.given.get("key"))
    is_recorded = found.runs.get(key, "") > job.began.isoformat()
    return key if can_resume(dataset, key) and not is_recorded else None


def resume_options(dataset: fo.Dataset, job: Job) -> dict | None:
    """Return the arguments that resume an interrupted job; None if it can only start over."""
    if job.seconds is None and job.verb != "fine_tune":
        return None  # canceled before it started; what a training has left is in its files
    if job.verb in WITH_PARTS:
        # One that has failed at its start, such as an import into a taken name, has no parts.
        return None if job.state == "failed" and not job.progress else {}
    can = job.verb == "predict" or (
        job.verb == "fine_tune" and can_resume(dataset, str(job.given.get("key")))
    )
    return {"resume": True} if can else None
