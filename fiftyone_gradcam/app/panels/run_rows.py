"""The rows of the table of runs, including trainings in progress."""

from __future__ import annotations

from datetime import datetime

import fiftyone as fo

from ...dataset.learned import learned_words
from ...dataset.run import CURRENT
from ...dataset.run_keys import free_key, repeated
from ...dataset.runs import Run, canceled_words, list_runs, load_run
from ...jobs.job import Job
from ...jobs.queue import list_jobs
from ...review.confusion import wilson_interval
from ...training.known_recipes import RECIPES
from ..operators.recipe_fields import recipe_value
from ..texts import percent

COLUMNS = {
    "key": "Run",
    "backbone": "Backbone",
    "training": "Training",
    "val_accuracy": "Val accuracy (95% interval)",
    "recorded": "Recorded (UTC)",
}
EMPTY = dict.fromkeys(COLUMNS, "")


def describe_runs(dataset: fo.Dataset) -> list[dict[str, str]]:
    """Return a row of the table for each run, newest first; damaged records are marked."""
    rows = []
    for key in reversed(list_runs(dataset)):
        try:
            row = _row(dataset, load_run(dataset, key))
        except Exception:  # any error in one record: the other runs are still shown
            row = {**EMPTY, "backbone": "damaged record"}
        rows.append({**row, "key": key})
    return rows


def with_trainings(dataset: fo.Dataset, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return rows with those of trainings in progress, which come first if they are no runs yet."""
    found = {row["key"]: row for row in rows}
    new = {}
    for job in list_jobs(dataset):
        if job.has_ended or job.verb not in ("fine_tune", "retrain"):
            continue
        words = "waits to be trained" if job.state == "queued" else "is being trained"
        key = _key_of(dataset, job)
        if key in found:
            found[key] = {**found[key], "training": f"{found[key]['training']}; {words}"}
        else:
            backbone = _backbone_of(dataset, job)
            new[key] = {**EMPTY, "key": key, "backbone": backbone, "training": words}
    return [*new.values(), *found.values()]


def is_canceled(dataset: fo.Dataset, run: Run) -> bool:
    """Return whether the training of a run was canceled before its end."""
    if run.canceled is None:  # of an earlier version
        return canceled_words(dataset, run.key) is not None
    return run.canceled


def _row(dataset: fo.Dataset, run: Run) -> dict[str, str]:
    recorded = datetime.fromisoformat(run.trained)
    return {
        "backbone": run.recipe["backbone"],
        "training": _training(dataset, run),
        "val_accuracy": _accuracy(run),
        "recorded": f"{recorded:%d %b %H:%M}",
    }


def _training(dataset: fo.Dataset, run: Run) -> str:
    """Return the epochs of a run, and which labels it was trained on."""
    if not run.history:
        return "weights from a file"
    canceled = "canceled" if is_canceled(dataset, run) else ""
    return ", ".join(filter(None, (run.epoch_words, canceled, learned_words(dataset, run))))


def _key_of(dataset: fo.Dataset, job: Job) -> str:
    """Return the key that the run of a job will have."""
    if key := job.given.get("key"):
        return str(key)
    name = repeated(str(job.given.get("run")), job.given.get("labels") or CURRENT)
    return free_key(dataset, name)


def _backbone_of(dataset: fo.Dataset, job: Job) -> str:
    """Return the backbone of a training in progress; "" if its arguments do not say."""
    given = job.given
    if job.verb == "retrain":
        try:
            return load_run(dataset, given.get("run")).recipe["backbone"]
        except ValueError:  # it was deleted, and the job will say so
            return ""
    name = given.get("recipe") or "default"
    if given.get("resume") or not isinstance(name, str) or name not in RECIPES:
        return ""
    return str(recipe_value({**RECIPES[name].choices, **given}, "backbone"))


def _accuracy(run: Run) -> str:
    accuracy, count = run.val_accuracy, run.val_images
    if accuracy is None:
        return "not validated"
    if not count:
        return percent(accuracy)
    low, high = wilson_interval(round(accuracy * count), count)
    return f"{percent(accuracy)} ({percent(low)} to {percent(high)})"
