"""Evaluate a run on labeled samples, also for FiftyOne's Model Evaluation panel."""

from __future__ import annotations

from dataclasses import dataclass, field

import fiftyone as fo
import numpy as np

from ..dataset import fields, runs
from ..dataset.class_probabilities import class_probabilities, field_of_run
from ..dataset.freshness import split_note
from ..dataset.training_sets import class_indexes
from ..dataset.writing import exclusive
from ..jobs.delegating import delegable
from ..progress import Progress, Report, counted, reporting, shares_of, some
from ..review.calibration import (
    Bin,
    expected_calibration_error,
    fit_temperature,
    reliability,
    tempered,
    top_k,
)
from ..review.confusion import (
    ClassRow,
    class_rows,
    confusion_matrix,
    normalized,
    wilson_interval,
)
from .comparing import held_out
from .predicting import predict

Samples = fo.core.collections.SampleCollection


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
        key: key of the evaluation on the dataset, for FiftyOne's Model Evaluation panel and
            `dataset.load_evaluation_results(key)`
        run: key of the run
        count, right: numbers of evaluated samples, and of those classified correctly
        interval: 95% confidence interval of the accuracy
        names: all classes that occur as a label or a prediction
        matrix: confusion matrix, (K, K) counts; rows are labels and columns are predictions, in the
            order of `names`
        classes: precision, recall, F1 and counts of each class
        top: top-k accuracy, by k
        reliability: bins of the reliability diagram: how often predictions of a given confidence
            are correct
        calibration_error: expected calibration error, in [0, 1]
        temperature: temperature of the run (see `Run`)
        tempered_error: expected calibration error with that temperature; None if there is none
        notes: remarks on the result, such as samples that were not counted
    """

    key: str
    run: str
    count: int
    right: int
    interval: tuple[float, float]
    names: list[str]
    matrix: np.ndarray = field(repr=False)
    classes: list[ClassRow] = field(repr=False)
    top: dict[int, float]
    reliability: list[Bin] = field(repr=False)
    calibration_error: float
    temperature: float | None
    tempered_error: float | None
    notes: list[str]

    @property
    def accuracy(self) -> float:
        """Fraction of the samples that are classified correctly."""
        return self.right / self.count

    def normalized(self, by: str = "row") -> np.ndarray:
        """Return the confusion matrix normalized by "row" (label) or "column" (prediction)."""
        return normalized(self.matrix, by)

    def __str__(self) -> str:
        low, high = self.interval
        lines = [
            f"Run {self.run!r} classifies {self.right} of {self.count} samples correctly: "
            f"{self.accuracy:.1%} (95% interval {low:.1%} to {high:.1%})",
            ", ".join(f"top {k} {share:.1%}" for k, share in self.top.items())
            + f"; expected calibration error {self.calibration_error:.3f}",
        ]
        if self.temperature is not None:
            lines.append(
                f"With temperature {self.temperature:.2f} the expected calibration error is "
                f"{self.tempered_error:.3f}"
            )
        for row in self.classes:
            shares = (row.precision, row.recall, row.f1)
            words = [f"{'–' if x is None else f'{x:.3f}'}" for x in shares]
            lines.append(
                f"  {row.name}: precision {words[0]}, recall {words[1]}, F1 {words[2]} "
                f"({counted(row.labelled, 'sample')}, {row.predicted} predicted)"
            )
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])


@delegable
@exclusive
def evaluate(
    samples: Samples,
    run: runs.Run | str,
    key: str | None = None,
    label_field: str | None = None,
    temperature: bool = False,
    include_excluded: bool = False,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
) -> Evaluation:
    """Evaluate a run on labeled samples, and register the result as a FiftyOne evaluation.

    In addition to FiftyOne's `evaluate_classifications`, the accuracy gets a confidence interval,
    and top-k accuracy and calibration are computed. Samples without a prediction of the run are
    predicted first, without heatmaps. An earlier evaluation of the same run and labels under the
    same key is replaced.

    Args:
        samples: a dataset or view; of a dataset, the samples tagged "test" are used, or else those
            tagged "val", or else all samples
        run: a run or its key
        key: key of the evaluation; by default (None), `eval_<run>`
        label_field: field with the labels of the samples; by default (None), the field that the run
            was trained on
        temperature: also fit a temperature on the samples tagged "val" that are not evaluated, and
            store it with the run
        include_excluded: also use samples that were excluded or marked unclear in a review
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        the `Evaluation`: accuracy with its 95% confidence interval, confusion matrix, precision,
        recall and F1 of each class, top-k accuracy and calibration error; print it for a summary

    Raises:
        ValueError: if there is no such run, no sample has a label, the key is invalid or belongs to
            another evaluation, or there are no samples to fit a temperature on
        FileNotFoundError: if the checkpoint of the run does not exist
    """
    dataset = fields.root_dataset(samples)
    run = runs.load_run(dataset, run)
    label_field = label_field or run.label_field
    key = key or f"eval_{run.key}"
    chosen, notes = held_out(samples, label_field, include_excluded)
    notes += filter(None, [split_note(dataset, run.key)])
    name = field_of_run(dataset, run) or _free_field(dataset, run)
    _check_key(dataset, key, name, label_field)
    predicting, evaluating = shares_of(progress, 1, 1)
    if dataset.get_field(name) is None or len(chosen.exists(f"{name}_scores")) < len(chosen):
        options = {"resume": True, "device": device, "progress": predicting}
        predict(chosen, run, name, (), label_field=label_field, **options)
    path = fields.label_path(dataset, label_field)
    judged = chosen.exists(path).exists(f"{name}_scores")
    if missing := len(chosen) - len(judged):
        notes.append(
            f"Not counted: {counted(missing, 'sample')} without a label, or that cannot be decoded"
        )
    with reporting(evaluating, f"Evaluating {run.key!r}") as report:
        if temperature:
            fitted = _temperature(judged, run, label_field, report)
            runs.keep_values(dataset, run.key, temperature=fitted)
            run = runs.load_run(dataset, run.key)
        found = class_probabilities(judged, run, device, report).probabilities
    labels = fields.labels_of(judged, label_field)[2]
    if path != label_field:  # FiftyOne cannot evaluate plain strings
        judged.evaluate_classifications(name, label_field, eval_key=key, progress=False)
    else:
        notes.append("Labels that are plain strings are not shown in the Model Evaluation panel")
    evaluation = _evaluation(key, run, labels, found, notes)
    print(evaluation)
    return evaluation


def _evaluation(
    key: str, run: runs.Run, labels: list[str], probabilities: np.ndarray, notes: list[str]
) -> Evaluation:
    """Compute all metrics, from labels (N) and probabilities (N, K) of the run's classes."""
    own = class_indexes(labels, run.classes)
    if (own < 0).any():
        unknown = sorted({x for x in labels if x not in run.classes})
        note = f"{run.key!r} has no class {some(unknown)}: these samples count as wrong"
        notes = [*notes, note]
    predicted = probabilities.argmax(1)
    counts: dict[tuple[str, str], int] = {}
    for label, place in zip(labels, predicted, strict=True):
        pair = (label, run.classes[place])
        counts[pair] = counts.get(pair, 0) + 1
    names = sorted({x for pair in counts for x in pair})
    matrix = confusion_matrix(counts, names)
    right = predicted == own
    bins = reliability(probabilities.max(1), right)
    after = None
    if run.temperature is not None:
        cooled = tempered(probabilities, run.temperature)
        after = expected_calibration_error(reliability(cooled.max(1), right))
    ks = [k for k in (1, 3, 5) if k < len(run.classes)]
    return Evaluation(
        key,
        run.key,
        len(labels),
        int(right.sum()),
        wilson_interval(int(right.sum()), len(labels)),
        names,
        matrix,
        class_rows(matrix, names),
        {k: top_k(probabilities, own, k) for k in ks},
        bins,
        expected_calibration_error(bins),
        run.temperature,
        after,
        notes,
    )


def _temperature(judged: Samples, run: runs.Run, label_field: str, report: Report) -> float:
    """Fit a temperature on the samples tagged "val" that are not evaluated."""
    dataset = fields.root_dataset(judged)
    view = dataset.match_tags("val").exclude(judged.values("id"))
    labels = class_indexes(fields.labels_of(view, label_field)[2], run.classes)
    if not (labels >= 0).any():
        raise ValueError(
            "A temperature is fitted on samples tagged 'val' that are not evaluated, but there are "
            "none. Evaluate the samples tagged 'test', after split()"
        )
    found = class_probabilities(view, run, None, report)
    used = (labels >= 0) & found.known
    return fit_temperature(found.probabilities[used], labels[used])


def _free_field(dataset: fo.Dataset, run: runs.Run) -> str:
    """Choose a field for new predictions."""
    name = "prediction"
    if dataset.get_field(name) is not None:
        name = f"prediction_{run.key}"
    return name


def _check_key(dataset: fo.Dataset, key: str, name: str, label_field: str) -> None:
    if not key.isidentifier():
        raise ValueError(
            f"{key!r} is not a valid evaluation key. Use letters, digits and underscores"
        )
    if key in dataset.list_evaluations():
        config = dataset.get_evaluation_info(key).config
        own = (getattr(config, "pred_field", None), getattr(config, "gt_field", None))
        if own != (name, label_field):
            raise ValueError(
                f"Evaluation {key!r} of {dataset.name!r} compares {own[0]!r} and {own[1]!r}. "
                f"Choose another key"
            )
    elif dataset.get_field(key) is not None:
        raise ValueError(f"{key!r} is a field of {dataset.name!r}. Choose another key")
