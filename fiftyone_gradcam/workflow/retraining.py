"""Repeat a training with corrected labels, and measure the effect of the corrections."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import fields as fields_of
from itertools import count

import fiftyone as fo

from ..dataset import fields, run_files, run_keys, runs
from ..dataset.decisions import adopt_edits
from ..dataset.files import run_folder
from ..dataset.review_state import columns_of
from ..dataset.reviews import LEFT_OUT, journal, reviewing
from ..dataset.run import Pretrained
from ..dataset.splits import count_split
from ..dataset.training_sets import digest_of, training_data
from ..dataset.writing import exclusive
from ..jobs.delegating import delegable
from ..model.checkpoint import load_state
from ..progress import Progress, counted, shares_of
from ..training.course import Course
from ..training.recipe import Recipe
from ..training.resuming import is_recorded
from .comparing import Comparison, compare_runs
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
    include_excluded: bool = False,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
) -> Comparison:
    """Repeat the training of a run with the current labels, and compare both runs.

    The new run uses the recipe of the old one. It is trained on the samples tagged "train", except
    those that were excluded or marked unclear in a review. Both runs are compared on the same
    samples with their current labels (see `compare_runs`). An interrupted training is resumed when
    you call this again. If an earlier call already trained on the same images and labels, the runs
    are only compared.

    Args:
        samples: a dataset, or the view that the run was trained on
        run: the run to repeat, or its key
        key: key of the new run; by default (None), `<key>_corrected`, with a number if that exists;
            "_corrected" is not added twice
        include_excluded: also use samples that were excluded or marked unclear in a review
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        the `Comparison`, where `a` is the old run and `b` the new one

    Raises:
        ValueError, FileNotFoundError, ConnectionError: as in `fine_tune` and `compare_runs`
    """
    dataset = fields.root_dataset(samples)
    old = runs.load_run(dataset, run)
    if isinstance(old, Pretrained):
        raise ValueError(f"{old} was not trained here. Pass a run of fine_tune()")
    since = _words(dataset, old)
    print(since or _unchanged(old))
    known = {x.name for x in fields_of(Recipe)}
    recipe = Recipe(**{name: value for name, value in old.recipe.items() if name in known})
    training, comparing = shares_of(progress, TRAINING, COMPARING)
    repeat = _find_repeat(samples, old, recipe, key, include_excluded)
    if repeat.is_over:
        new = runs.load_run(dataset, repeat.key)
        print(f"Run {repeat.key!r} was already trained on the current labels")
    else:
        new = fine_tune(
            samples,
            repeat.key,
            recipe,
            label_field=old.label_field,
            resume=repeat.is_started,
            include_excluded=include_excluded,
            device=device,
            progress=training,
        )
    judged = samples if isinstance(samples, fo.Dataset) else _held_out(samples)
    result = compare_runs(
        judged, old, new, old.label_field, include_excluded, device=device, progress=comparing
    )
    if not since:
        result.notes.insert(0, f"{_unchanged(old)}, so this does not show whether corrections help")
    return result


def _find_repeat(
    samples: Samples, old: runs.Run, recipe: Recipe, key: str | None, include_excluded: bool
) -> _Repeat:
    """Find a training of an earlier call on the same images and labels; otherwise, choose a new
    key.

    Args:
        samples, key, include_excluded: see `retrain`
        old: the run to repeat
        recipe: recipe of the run
    """
    dataset = fields.root_dataset(samples)
    corrected = run_keys.corrected_name(old.key)
    if isinstance(samples, fo.Dataset) and not count_split(samples):
        return _Repeat(key or run_keys.free_key(dataset, corrected))
    shown = recipe.with_resize("crop")
    data = training_data(samples, old.label_field, shown, include_excluded, verbose=False)
    same = {"recipe": recipe.to_dict(), "label_field": old.label_field}
    same |= {"classes": data[0], "digest": digest_of(*data[1:])}
    for name in [key] if key else _numbered(corrected):
        if name == old.key and not key:
            continue
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


def _numbered(name: str) -> Iterator[str]:
    """Yield a name, then the name with numbers: `name`, `name_2`, `name_3` ..."""
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def _state_of(dataset: fo.Dataset, key: str) -> dict | None:
    """Load the training state of a key; None if there is none, or if it cannot be read."""
    if not run_files.can_resume(dataset, str(key)):
        return None
    try:
        return load_state(os.path.join(run_folder(dataset, key), run_files.STATE), key)
    except ValueError:
        return None


def _held_out(view: Samples) -> Samples:
    """The test samples of a view, or else its val samples; the whole dataset if it has neither."""
    for tag in ("test", "val"):
        if len(view.match_tags(tag).limit(1)):
            return view.match_tags(tag)
    return fields.root_dataset(view)


def _unchanged(run: runs.Run) -> str:
    return f"No label was corrected since run {run.key!r} was trained"


def _words(dataset: fo.Dataset, run: runs.Run) -> str:
    """Describe how reviews changed labels since a run was trained; empty if they did not."""
    with reviewing(dataset):
        adopt_edits(dataset, columns_of(dataset, run.label_field))
    own = [x for x in journal(dataset) if x.label_field == run.label_field]
    since = [x for x in own if x.time > run.trained]
    corrected = len({x.sample_id for x in since if x.is_correction})
    last = {x.sample_id: x for x in since}
    out = sum(x.decision in LEFT_OUT for x in last.values())
    if not corrected and not out:
        return ""
    said = []
    if corrected:
        said.append(f"{counted(corrected, 'label was', 'labels were')} corrected")
    if out:
        said.append(f"{counted(out, 'sample was', 'samples were')} excluded or marked unclear")
    return f"Since run {run.key!r} was trained, {' and '.join(said)}"
