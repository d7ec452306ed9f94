"""Fine-tune a classifier on a dataset."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from ..dataset import fields, run_files, run_keys, runs
from ..dataset.basis import basis_of_training
from ..dataset.files import run_folder
from ..dataset.import_record import decode_options
from ..dataset.labels_before import check_choice
from ..dataset.live import LiveTraining
from ..dataset.recording import record
from ..dataset.resizing import choose_resize
from ..dataset.run import CURRENT
from ..dataset.training_sets import digest_of, training_data
from ..dataset.watched import choose_watched
from ..dataset.writing import exclusive
from ..disk import check_folder, plain_errors
from ..jobs.delegating import delegable
from ..model.checkpoint import load_state, save_state
from ..model.state_file import check_weights_file
from ..progress import CancelledError, Progress, counted, report_failures, reporting
from ..review.leaks import leaks_between
from ..training.diagnosis import Finding, diagnose
from ..training.history import Trained
from ..training.loop import train
from ..training.recipe import AUTO, Recipe, check_choices
from ..training.recipes import make_recipe
from ..training.resuming import (
    check_not_interrupted,
    check_same_data,
    is_recorded,
    resumed_recipe,
)
from ..training.sources import Labelled
from ..training.watching import Watch
from .splitting import split_if_none
from .training_progress import hooks_of, naming_phase, report_saving, steps_of

Samples = fo.core.collections.SampleCollection


def _check(samples, key, recipe=None, resume=False, overwrite=False, **options) -> None:
    """Raise errors of a call immediately, before it is queued as a job."""
    run_keys.check_key(fields.root_dataset(samples), key, overwrite or resume)
    check_choice(options.get("labels", CURRENT))
    own = inspect.signature(fine_tune).parameters
    choices = {name: value for name, value in options.items() if name not in own}
    if resume:
        check_choices(choices)
        return
    weights = make_recipe(recipe or "default", **choices).weights
    if weights not in ("imagenet", "none"):
        check_weights_file(weights)


@delegable(check=_check)
@exclusive
def fine_tune(
    samples: Samples,
    key: str,
    recipe: str | Recipe | None = None,
    *,
    label_field: str = "ground_truth",
    labels: str = CURRENT,
    resume: bool = False,
    overwrite: bool = False,
    watch: int | Sequence[str] = 0,
    include_excluded: bool = False,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
    **choices,
) -> runs.Run:
    """Train a classifier on the samples tagged "train" and record it on the dataset.

    The network is validated on the samples tagged "val", and the weights with the best validation
    result are kept. A dataset without a split is split first, as the recipe says (see `split`), and
    a message is printed. A view without "train" tags is used for training as a whole, except its
    samples tagged "val" or "test". The training state is saved after each epoch: `resume=True`
    resumes an interrupted training with the same result as without the interruption.

    Args:
        samples: a dataset or view
        key: key of the run; letters, digits and underscores
        recipe: a `Recipe`, or the name of one in `fiftyone_gradcam.training.known_recipes.RECIPES`,
            such as "default" or "matlab-cracks"; by default (None), "default", or the recipe of the
            training to resume
        label_field: field with the labels of the samples
        labels: "current", or "before_review" to train on the labels before reviews changed them,
            and on samples that reviews have left out: `compare_runs` then shows whether the
            corrections help (see `retrain`)
        resume: resume an interrupted training of this key, or extend a finished one if `epochs` is
            larger than before; other options stay the same
        overwrite: replace an existing run, or an interrupted training, of this key
        watch: save a Grad-CAM heatmap of the label after each epoch for this number of samples
            (samples tagged "val" first), or for the samples with these ids; a picture shows how the
            heatmaps changed (`run.watch`)
        include_excluded: also use samples that were excluded or marked unclear in a review
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends
        **choices: options of `fiftyone_gradcam.training.recipe.Recipe` that replace those of
            `recipe`: backbone, weights, epochs, learning_rate, seed ...

    Returns:
        the `Run`, with its key, classes, recipe, history, accuracy, findings and checkpoint

    Raises:
        ValueError: if an option is invalid, the key exists, the samples are split but none is
            tagged "train", there are fewer than two classes, or there is no training to resume
        FileNotFoundError: if the weights file does not exist
        ConnectionError: if ImageNet weights are not cached and cannot be downloaded
        CancelledError: if `progress` raised it; the best weights so far are recorded as the run,
            and `resume=True` continues the training
    """
    dataset = fields.root_dataset(samples)
    state_path = _state_path(dataset, key, overwrite or resume)
    is_finished = runs.has_run(dataset, key)
    state = None
    if resume:
        state = load_state(state_path, key)
        is_complete = is_finished and is_recorded(runs.load_run(dataset, key).history, state)
        recipe = resumed_recipe(state, recipe, choices, is_complete)
        label_field, labels = state["label_field"], state.get("labels", CURRENT)
    else:
        given, recipe = recipe, make_recipe(recipe or "default", **choices)
        check_not_interrupted(state_path, key, overwrite)
        split_if_none(samples, label_field, given)
    basis = basis_of_training(samples, label_field, labels)
    data = training_data(
        samples, label_field, recipe.with_resize("crop"), include_excluded, labels=labels
    )
    comparing, learning, saving = steps_of(recipe, *data[1:], naming_phase(progress))
    is_auto = recipe.resize == AUTO
    recipe, classes, train_set, val_set = _settled(dataset, recipe, *data, device, comparing)
    digest = digest_of(train_set, val_set)
    if state is not None:
        check_same_data(state, classes, digest)
        watch = state["watch"]["ids"] if state["watch"] else []
    elif not is_finished and os.path.exists(state_path):
        os.remove(state_path)  # the training starts over, so the old state must not be resumed
    run_files.prepare_folder(dataset, key)
    recorder = _make_watch(samples, watch, label_field, classes, recipe, state)

    def keep_state(found: dict) -> None:
        own = {
            **{"recipe": recipe.to_dict(), "classes": classes, "label_field": label_field},
            **{"labels": labels, "digest": digest, "watch": recorder and recorder.state()},
        }
        save_state(state_path, found | own)

    live = LiveTraining(dataset, key, recipe.epochs)
    try:
        words = f"Training {recipe.backbone} on {counted(len(train_set), 'image')}"
        with plain_errors(lambda: _kept(state_path, key)), reporting(learning, words) as report:
            hooks = hooks_of(report, recipe, progress is not False, recorder, keep_state, live)
            trained = train(recipe, len(classes), train_set, val_set, device, hooks, state)
        report_saving(saving, trained)
        findings = _findings(recipe, classes, trained, train_set, val_set, is_auto)
        with plain_errors(lambda: _kept(state_path, key)):
            run = record(
                *(dataset, key, label_field, classes, recipe, trained, findings),
                *(recorder, val_set, basis, labels),
            )
    except CancelledError:
        live.forget()
        raise
    except BaseException:
        if kept := _kept(state_path, key):
            print(kept)
        raise
    live.forget()
    _report_run(run, findings, trained.cancelled)
    return run


def _settled(
    dataset: fo.Dataset,
    recipe: Recipe,
    classes: list[str],
    train_set: Labelled,
    val_set: Labelled | None,
    device: str | None,
    progress: Progress,
) -> tuple[Recipe, list[str], Labelled, Labelled | None]:
    """Choose `epochs` and `resize` if the recipe leaves them open, and update the training data."""
    recipe = recipe.settled(train_set.labels)
    if recipe.resize == AUTO:
        paths = train_set.images.paths
        recipe = choose_resize(dataset, recipe, paths, train_set.labels, device, progress)
        train_set = train_set.with_resize(recipe.resize)
        val_set = val_set and val_set.with_resize(recipe.resize)
    return recipe, classes, train_set, val_set


def _state_path(dataset: fo.Dataset, key: str, overwrite: bool) -> str:
    """Path of the training state, after checking that the key and the folder can be used."""
    run_keys.check_key(dataset, key, overwrite)
    folder = run_folder(dataset, key)
    check_folder(folder)
    return os.path.join(folder, run_files.STATE)


def _kept(state_path: str, key: str) -> str:
    """Describe how to resume a training that ended with an error; empty if there is no state."""
    if not os.path.exists(state_path):
        return ""
    return f"The training state is kept: fine_tune(..., {key!r}, resume=True) resumes it"


def _make_watch(
    samples: Samples,
    watch: int | Sequence[str],
    label_field: str,
    classes: list[str],
    recipe: Recipe,
    state: dict | None,
) -> Watch | None:
    """Create the recorder of heatmaps during training, restored from a state if given; None for no
    samples."""
    ids = choose_watched(samples, watch, label_field, classes, recipe.seed)
    if not ids:
        return None
    dataset = fields.root_dataset(samples)
    view = dataset.select(ids, ordered=True)
    own = fields.labels_of(view, label_field)
    recorder = Watch(*own, classes, recipe, decode_options(dataset))
    if state is not None:
        recorder.restore(state["watch"])
    return recorder


def _report_run(run: runs.Run, findings: list[Finding], cancelled: bool) -> None:
    """Print the result of a training; raise CancelledError if it was canceled."""
    print(f"Saved {run}")
    if run.advice:
        print(run.advice)
    for finding in findings:
        print(f"{finding.severity.capitalize()}: {finding.message}")
    if run.watch:
        print(f"How the heatmaps changed: {run.watch['strip']}")
    if cancelled:
        raise CancelledError(f"Canceled: the best weights are kept as {run}. It can be resumed")


def _report_images(train_set: Labelled, val_set: Labelled | None, is_auto: bool) -> None:
    """Print which images could not be decoded, and how much of the images the network does not see;
    `is_auto` says that the best resize method was chosen for them."""
    for part in (train_set, val_set):
        if part is not None:
            report_failures(part.images.failures)
    hidden = train_set.images.hidden_share()
    if hidden > 0.2:
        advice = "" if is_auto else ". resize='squash' or 'letterbox' uses the whole image"
        print(
            f"The network sees only the central square: {hidden:.0%} of the images' area is "
            f"outside it{advice}"
        )


def _findings(
    recipe: Recipe,
    classes: list[str],
    trained: Trained,
    train_set: Labelled,
    val_set: Labelled | None,
    is_auto: bool,
) -> list[Finding]:
    """Print what the network did not see, and diagnose the training."""
    _report_images(train_set, val_set, is_auto)
    leaks = []
    if val_set is not None:
        leaks = leaks_between(train_set.images.paths, val_set.images.paths, trained.features)
    val_labels = np.empty(0, np.int64) if val_set is None else val_set.labels[trained.val_positions]
    return diagnose(recipe, classes, trained, train_set.labels, val_labels, leaks)
