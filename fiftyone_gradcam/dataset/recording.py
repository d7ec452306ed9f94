"""Store a finished training as a run."""

from __future__ import annotations

import contextlib
import os

import fiftyone as fo

from ..model.checkpoint import save_checkpoint
from ..training.diagnosis import Finding
from ..training.drawn_curves import draw_curves
from ..training.history import Trained
from ..training.recipe import Recipe
from ..training.sources import Labelled
from ..training.watching import Watch
from . import run_files, runs
from .durable import durable
from .measured import measured_on
from .run import Run

CURVES = "curves.png"


def _measured(
    dataset: fo.Dataset, classes: list[str], val_set: Labelled | None, trained: Trained
) -> dict | None:
    """Return digests of the samples and labels that the accuracy was measured on."""
    if val_set is None:
        return None
    positions = trained.val_positions
    paths = [val_set.images.paths[i] for i in positions]
    return measured_on(dataset, paths, [classes[i] for i in val_set.labels[positions]])


def record(
    dataset: fo.Dataset,
    key: str,
    label_field: str,
    classes: list[str],
    recipe: Recipe,
    trained: Trained,
    findings: list[Finding],
    recorder: Watch | None,
    val_set: Labelled | None,
    basis: dict,
    labels: str,
) -> Run:
    """Write the files of a training, then the record of the run, then delete the replaced files."""
    replaced = runs.paths_of(dataset, key)
    folder = run_files.new_folder(dataset, key)
    checkpoint = os.path.join(folder, run_files.CHECKPOINT)
    history = [row.to_dict() for row in trained.history]
    validations = [row.to_dict() for row in trained.validations]
    curves = os.path.join(folder, CURVES)
    try:
        draw_curves(history, validations, curves, f"{key}: {recipe.backbone}", trained.best_epoch)
        run = Run(
            key=key,
            dataset_name=dataset.name,
            classes=classes,
            recipe=recipe.to_dict(),
            history=history,
            validations=validations,
            findings=[finding.to_dict() for finding in findings],
            best_epoch=trained.best_epoch,
            val_accuracy=trained.val_accuracy,
            val_images=len(trained.val_positions),
            label_field=label_field,
            checkpoint=checkpoint,
            curves=curves,
            watch=recorder.save(folder) if recorder else None,
            measured=_measured(dataset, classes, val_set, trained),
            basis=basis,
            canceled=trained.cancelled,
            labels=labels,
        )
        description = {"backbone": recipe.backbone, "classes": classes, "recipe": run.recipe}
        save_checkpoint(checkpoint, trained.model.state_dict(), description)
        with durable():  # before the files of the replaced record are deleted
            run = runs.save_run(dataset, run)
    except BaseException:
        with contextlib.suppress(Exception):  # a database error: the next call cleans up
            run_files.remove_others(dataset, key)
        raise
    run_files.remove_others(dataset, key, replaced)
    return run
