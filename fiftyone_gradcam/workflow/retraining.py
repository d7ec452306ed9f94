"""Repeat a training with corrected labels, and measure the effect of the corrections."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import fields as fields_of
from itertools import chain, count

import fiftyone as fo

from ..dataset import fields, run_files, run_keys, runs
from ..dataset.changed_labels import Changes
from ..dataset.files import run_folder
from ..dataset.labels_before import check_choice
from ..dataset.run import CURRENT, Pretrained
from ..dataset.splits import count_split
from ..dataset.training_sets import digest_of, training_data
from ..dataset.writing import exclusive
from ..jobs.delegating import delegable
from ..model.checkpoint import load_state
from ..progress import Progress, shares_of
from ..training.course import Course
from ..training.recipe import Recipe
from ..training.resuming import is_recorded
from .comparing import Comparison, compare
from .training import fine_tune

Samples = fo.core.collections.SampleCollection
TRAINING, COMPARING = 0.9, 0.1  # of the work


@dataclass(frozen=True)
class _Repeat:
    """A training that repeats a run.

    Attributes:
        key: key of the new run
        is_started: whether an earlier call started the training and saved a state to resume it
        is_over: whether the training is also complete and recorded
    """

    key: str
    is_started: bool = False
    is_over: bool = False


@delegable
@exclusive
def retrain(
    samples: Samples,
    run: runs.Run | str,
    key: str | None = None,
    labels: str = CURRENT,
    include_excluded: bool = False,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
) -> Comparison:
    """Repeat the training of a run with other labels, and compare both runs.

    The new run uses the recipe of the old one. By default, it is trained on the current labels of
    the samples tagged "train", except samples that were excluded or marked unclear in a review.
    If labels were corrected before the first training, `labels="before_review"` trains on the
    labels before reviews changed them. Both runs are compared on the same samples with their
    current labels (see `compare_runs`). An interrupted training is resumed when you call this
    again. If an earlier call already trained on the same images and labels, the runs are only
    compared.

    Args:
        samples: a dataset, or the view that the run was trained on
        run: the run to repeat, or its key
        key: key of the new run; by default (None), `<key>_corrected` or `<key>_before_review`, with
            a number if that exists
        labels: "current", or "before_review" to train on the labels before reviews changed them,
            and on samples that reviews have left out
        include_excluded: also use samples that were excluded or marked unclear in a review
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        the `Comparison`, where `a` is the run with the earlier labels and `b` the other one

    Raises:
        ValueError: if `run` was not trained here, or its own labels are those before review; also
            as in `fine_tune` and `compare_runs`
        FileNotFoundError, ConnectionError: as in `fine_tune` and `compare_runs`
    """
    dataset = fields.root_dataset(samples)
    old = runs.load_run(dataset, run)
    if isinstance(old, Pretrained):
        raise ValueError(f"{old} was not trained here. Pass a run of fine_tune()")
    check_choice(labels)
    changed = Changes.of(dataset, old, labels)
    print(changed.words)
    known = {x.name for x in fields_of(Recipe)}
    recipe = Recipe(**{name: value for name, value in old.recipe.items() if name in known})
    training, comparing = shares_of(progress, TRAINING, COMPARING)
    repeat = _find_repeat(samples, old, recipe, key, labels, include_excluded)
    if repeat.is_over:
        new = runs.load_run(dataset, repeat.key)
        print(f"Run {repeat.key!r} was already trained on these labels")
    else:
        new = fine_tune(
            samples,
            repeat.key,
            recipe,
            label_field=old.label_field,
            labels=labels,
            resume=repeat.is_started,
            include_excluded=include_excluded,
            device=device,
            progress=training,
        )
    judged = samples if isinstance(samples, fo.Dataset) else _held_out(samples)
    a, b = (old, new) if labels == CURRENT else (new, old)
    return compare(
        judged, a, b, old.label_field, include_excluded, device, comparing, changed.notes
    )


def _find_repeat(
    samples: Samples,
    old: runs.Run,
    recipe: Recipe,
    key: str | None,
    labels: str,
    include_excluded: bool,
) -> _Repeat:
    """Find a training of an earlier call on the same images and labels; otherwise, choose a new
    key.

    Args:
        samples, key, labels, include_excluded: see `retrain`
        old: the run to repeat
        recipe: recipe of the run
    """
    dataset = fields.root_dataset(samples)
    name_of_new = run_keys.repeated(old.key, labels)
    if isinstance(samples, fo.Dataset) and not count_split(samples):
        return _Repeat(key or run_keys.free_key(dataset, name_of_new))
    shown = recipe.with_resize("crop")
    data = training_data(samples, old.label_field, shown, include_excluded, False, labels)
    same = {"recipe": recipe.to_dict(), "label_field": old.label_field, "labels": labels}
    same |= {"classes": data[0], "digest": digest_of(*data[1:])}
    for name in [key] if key else _numbered(name_of_new, old.key):
        state = _state_of(dataset, name)
        is_started = state is not None and all(state.get(k) == x for k, x in same.items())
        if not runs.has_run(dataset, name):
            if is_started or state is None or key:
                return _Repeat(name, is_started)
        elif is_started and is_recorded(runs.load_run(dataset, name).history, state):
            course = Course.restored(state)
            is_over = course.epoch >= recipe.epochs or course.is_stale(recipe.early_stopping)
            return _Repeat(name, True, is_over)
    return _Repeat(key)  # another run has this key, so fine_tune raises an error


def _numbered(name: str, other: str) -> Iterator[str]:
    """Yield `name`, `name_2`, `name_3` ..., except `other`."""
    names = chain([name], (f"{name}_{number}" for number in count(2)))
    return (one for one in names if one != other)


def _state_of(dataset: fo.Dataset, key: str) -> dict | None:
    """Load the training state of a key; None if there is none, empty if it cannot be read."""
    if not run_files.can_resume(dataset, str(key)):
        return None
    try:
        state = load_state(os.path.join(run_folder(dataset, key), run_files.STATE), key)
        return {"labels": CURRENT} | state  # states of earlier versions lack it
    except ValueError:
        return {}


def _held_out(view: Samples) -> Samples:
    """The test samples of a view, or else its val samples; the whole dataset if it has neither."""
    for tag in ("test", "val"):
        if len(view.match_tags(tag).limit(1)):
            return view.match_tags(tag)
    return fields.root_dataset(view)
