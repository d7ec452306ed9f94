"""Compare two runs on the same samples, with their current labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import fiftyone as fo
import numpy as np

from ..dataset import fields, runs
from ..dataset.class_probabilities import ClassProbabilities, class_probabilities
from ..dataset.comparisons import keep_comparison
from ..dataset.freshness import split_note
from ..dataset.measured import difference
from ..dataset.reviews import left_out, left_out_words
from ..jobs.delegating import delegable
from ..progress import Progress, counted, reporting, shares_of, some
from ..review.comparison import Pairs

Samples = fo.core.collections.SampleCollection


@dataclass(frozen=True)
class Comparison:
    """The result of `compare_runs`: two runs on the same samples.

    Attributes:
        a, b: keys of the runs
        pairs: numbers of samples that each run classifies correctly
        classes: the same numbers for the samples of each class
        words: the result in words
        notes: remarks on the result, such as samples that were left out
        both_right, fixed, broken, both_wrong: views of the samples that both classify correctly,
            that only `b` does, that only `a` does, and that neither does
        label_field: the field of the labels
    """

    a: str
    b: str
    pairs: Pairs
    classes: dict[str, Pairs]
    words: str
    notes: list[str]
    both_right: fo.DatasetView = field(repr=False)
    fixed: fo.DatasetView = field(repr=False)
    broken: fo.DatasetView = field(repr=False)
    both_wrong: fo.DatasetView = field(repr=False)
    label_field: str

    def __str__(self) -> str:
        def share(right: int, interval: tuple[float, float]) -> str:
            low, high = interval
            return f"{right / self.pairs.count:.1%} (95% interval {low:.1%} to {high:.1%})"

        pairs = self.pairs
        lines = [
            f"{self.words}.",
            f"{self.a}: {share(pairs.right_a, pairs.interval_a)}; "
            f"{self.b}: {share(pairs.right_b, pairs.interval_b)}",
            f"{pairs.only_b} fixed by {self.b!r}, {pairs.only_a} broken, {pairs.both_wrong} wrong "
            f"in both",
        ]
        lines += [
            f"  {name}: {one.right_a} -> {one.right_b} of {one.count}"
            for name, one in self.classes.items()
        ]
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])


@delegable
def compare_runs(
    samples: Samples,
    a: runs.Run | str,
    b: runs.Run | str,
    label_field: str | None = None,
    include_excluded: bool = False,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
) -> Comparison:
    """Compare two runs on the same samples, with their current labels.

    Stored predictions of the runs are used. The other samples are predicted now, and no sample is
    changed. A comparison on a dataset, not a view, is kept with run `b` for reports. McNemar's
    exact test shows whether the difference between the runs is significant.

    Args:
        samples: a dataset or view; of a dataset, the samples tagged "test" are used, or else those
            tagged "val", or else all samples
        a, b: the two runs, or their keys
        label_field: field with the labels of the samples; by default (None), the field that `a` was
            trained on
        include_excluded: also use samples that were excluded or marked unclear in a review
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        the `Comparison`: how many samples each run classifies correctly, in total and for each
        class, and views of the samples that are right in both, fixed, broken, and wrong in both;
        print it for a summary

    Raises:
        ValueError: if there is no such run, both runs are the same, or no sample has a label
        FileNotFoundError: if the checkpoint of a run does not exist
    """
    return compare(samples, a, b, label_field, include_excluded, device, progress)


def compare(
    samples: Samples,
    a: runs.Run | str,
    b: runs.Run | str,
    label_field: str | None,
    include_excluded: bool,
    device: str | None,
    progress: Progress,
    notes: Sequence[str] = (),
) -> Comparison:
    """See `compare_runs`; `notes` are remarks to add to the result."""
    dataset = fields.root_dataset(samples)
    first, second = runs.load_run(dataset, a), runs.load_run(dataset, b)
    if first.key == second.key:
        raise ValueError(f"Both runs are {first.key!r}. Name another one to compare it with")
    label_field = label_field or first.label_field
    chosen, own_notes = held_out(samples, label_field, include_excluded)
    with reporting(progress, f"Comparing {first.key!r} and {second.key!r}") as report:
        reports = shares_of(report, 1, 1) if callable(progress) else (report, report)
        pairs = zip((first, second), reports, strict=True)
        found = [class_probabilities(chosen, run, device, own) for run, own in pairs]
    ids, _, labels = fields.labels_of(chosen, label_field)
    judged = np.array([x is not None for x in labels]) & found[0].known & found[1].known
    if not judged.any():
        raise ValueError("None of these samples has both a label and an image that can be decoded")
    right = [_right(one, labels)[judged] for one in found]
    kept = [label for label, is_judged in zip(labels, judged, strict=True) if is_judged]
    notes = [*notes, *own_notes]
    notes += filter(None, [split_note(dataset, run.key) for run in (first, second)])
    notes += _notes(first, second, sorted(set(kept)), len(labels) - len(kept))
    pairs = Pairs.of(*right)
    own = np.array(kept, object)
    names = np.array(ids)[judged]
    comparison = Comparison(
        first.key,
        second.key,
        pairs,
        {x: Pairs.of(right[0][own == x], right[1][own == x]) for x in sorted(set(kept))},
        pairs.words(first.key, second.key),
        notes,
        *(
            dataset.select(names[chosen].tolist())
            for chosen in (
                right[0] & right[1],
                right[1] & ~right[0],
                right[0] & ~right[1],
                ~right[0] & ~right[1],
            )
        ),
        label_field,
    )
    if isinstance(samples, fo.Dataset):
        keep_comparison(
            dataset, first, second, label_field, pairs, comparison.classes, comparison.notes
        )
    print(comparison)
    return comparison


def held_out(
    samples: Samples, label_field: str, include_excluded: bool
) -> tuple[Samples, list[str]]:
    """Return the samples to compare runs on, and notes about them.

    Args:
        samples: a dataset or view, as in `compare_runs`
        label_field: field with the labels of the samples
        include_excluded: also use samples that were excluded or marked unclear in a review
    """
    notes, chosen = [], fields.whole(samples)
    if isinstance(samples, fo.Dataset):
        tag = next((x for x in ("test", "val") if len(samples.match_tags(x).limit(1))), None)
        chosen = samples.match_tags(tag) if tag else samples
        if tag:
            notes.append(f"Measured on the samples tagged {tag!r} alone")
    path = fields.label_path(fields.root_dataset(samples), label_field)
    if out := {} if include_excluded else left_out(chosen):
        chosen = chosen.exclude([i for ids in out.values() for i in ids])
        notes.append(f"Left out by reviews: {left_out_words(out)}")
    if not any(chosen.values(path)):
        raise ValueError(f"None of these samples has a label in {label_field!r}")
    if trained := len(chosen.match_tags("train")):
        notes.append(
            f"{trained} of the samples are tagged 'train': accuracy on training images says little "
            f"about new images"
        )
    return chosen, notes


def _right(found: ClassProbabilities, labels: list[str | None]) -> np.ndarray:
    """Whether the most probable class is the label: (N,) bool."""
    return np.array([p == y for p, y in zip(found.predicted, labels, strict=True)])


def _notes(a: runs.Run, b: runs.Run, labels: list[str], unjudged: int) -> list[str]:
    notes = []
    if unjudged:
        notes.append(
            f"Not counted: {counted(unjudged, 'sample')} without a label, or that cannot be decoded"
        )
    for run in (a, b):
        if unknown := [x for x in labels if x not in run.classes]:
            notes.append(f"{run.key!r} has no class {some(unknown)}: these samples count as wrong")
    if a.val_accuracy is not None and b.val_accuracy is not None:
        differs = difference({a.key: a.measured, b.key: b.measured})
        if differs:
            notes.append(
                f"Do not compare the validation accuracies of training, {a.val_accuracy:.1%} of "
                f"{a.key!r} and {b.val_accuracy:.1%} of {b.key!r}: they were measured on different "
                f"images or labels"
            )
    return notes
