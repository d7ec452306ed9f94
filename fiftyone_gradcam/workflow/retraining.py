"""Repeat a training on corrected labels, and see what the corrections have done."""

from __future__ import annotations

from dataclasses import fields as fields_of

import fiftyone as fo

from ..dataset import fields, runs
from ..dataset.decisions import adopt_edits
from ..dataset.review_state import columns_of
from ..dataset.reviews import LEFT_OUT, journal, reviewing
from ..dataset.writing import exclusive
from ..jobs.delegating import delegable
from ..progress import Progress, counted
from ..training.recipe import Recipe
from .comparing import Comparison, compare_runs
from .training import fine_tune


@delegable
@exclusive
def retrain(
    samples: fo.core.collections.SampleCollection,
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
    samples with their current labels (see `compare_runs`).

    Args:
        samples: a dataset, or the view that the run was trained on
        run: the run to repeat, or its key
        key: key of the new run; by default (None), `<key>_corrected`, with a number if that exists
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
    if isinstance(old, runs.Pretrained):
        raise ValueError(f"{old} was not trained here. Pass a run of fine_tune()")
    print(_words(dataset, old))
    known = {x.name for x in fields_of(Recipe)}
    recipe = Recipe(**{name: value for name, value in old.recipe.items() if name in known})
    new = fine_tune(
        samples,
        key or runs.free_key(dataset, f"{old.key}_corrected"),
        recipe,
        label_field=old.label_field,
        include_excluded=include_excluded,
        device=device,
        progress=progress,
    )
    judged = samples if isinstance(samples, fo.Dataset) else _held_out(samples)
    return compare_runs(
        judged, old, new, old.label_field, include_excluded, device=device, progress=progress
    )


def _held_out(
    view: fo.core.collections.SampleCollection,
) -> fo.core.collections.SampleCollection:
    """What of a view was not trained on; of one that has nothing such, the dataset."""
    for tag in ("test", "val"):
        if len(view.match_tags(tag).limit(1)):
            return view.match_tags(tag)
    return fields.root_dataset(view)


def _words(dataset: fo.Dataset, run: runs.Run) -> str:
    """What reviews have changed since a run was trained."""
    with reviewing(dataset):
        adopt_edits(dataset, columns_of(dataset, run.label_field))
    own = [x for x in journal(dataset) if x.label_field == run.label_field]
    since = [x for x in own if x.time > run.trained]
    corrected = len({x.sample_id for x in since if x.is_correction})
    last = {x.sample_id: x for x in since}
    out = sum(x.decision in LEFT_OUT for x in last.values())
    if not corrected and not out:
        return f"No label was corrected since run {run.key!r} was trained"
    said = []
    if corrected:
        said.append(f"{counted(corrected, 'label was', 'labels were')} corrected")
    if out:
        said.append(f"{counted(out, 'sample was', 'samples were')} excluded or called unclear")
    return f"Since run {run.key!r} was trained, {' and '.join(said)}"
