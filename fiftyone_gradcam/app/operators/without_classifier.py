"""What the panel "Why?" says of a dataset without a classifier; no network is loaded for it."""

from __future__ import annotations

import fiftyone as fo

from ...dataset.fields import field_info
from ...dataset.overview import cached_weights
from ...dataset.runs import list_runs
from ...jobs.queue import list_jobs
from .backbone_fields import GOOD

TRAININGS = ("fine_tune", "retrain")


def without_classifier(dataset: fo.Dataset, prediction_field: str) -> str | None:
    """Return why no prediction can be explained yet, and what to do; None if one can be.

    Args:
        dataset: the dataset of the sample
        prediction_field: the field with the predictions to explain
    """
    if field_info(dataset, prediction_field).get("run") or list_runs(dataset):
        return None
    if any(job.verb in TRAININGS and not job.has_ended for job in list_jobs(dataset)):
        return (
            "There is no classifier yet, but a training is running. Come back when it is done: "
            "then you see here why it predicts a class for this image."
        )
    words = (
        "There is no classifier yet whose predictions could be explained. In the panel "
        "Grad-CAM classifier, under Steps, press 'Train a classifier'."
    )
    cached = next((name for name in GOOD if cached_weights(name)), None)
    if cached is None:
        return words
    return (
        f"{words} Or predict with a pretrained network, such as {cached}, which is on this "
        f"machine: under 'All actions', press 'Predict with Grad-CAM heatmaps'."
    )
