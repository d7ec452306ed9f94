"""The section of a report about predictions, read from a dataset."""

from __future__ import annotations

import fiftyone as fo
from fiftyone import ViewField as F

from ..reports.facts import Mistake, Results
from ..review.confusion import class_rows, confusion_matrix
from .evaluation import confusion_counts, prediction_fields
from .fields import field_info, path_in, root_dataset, whole
from .heatmaps import against_field, heatmap_fields, is_signed
from .import_record import decode_options
from .report_data import import_root, shown_file
from .report_pictures import overlay_of, picture_of
from .reviews import left_out, left_out_words
from .run import Run
from .runs import list_runs, load_run, newest_run

Samples = fo.core.collections.SampleCollection
WORST_CLASSES, MISTAKES = 4, 5  # number of classes, and of mistakes for each


def shown_run(dataset: fo.Dataset, key: str | Run | None) -> Run | None:
    """Return the run to report on.

    Args:
        dataset: the dataset of the run
        key: a run, or its key; by default (None), the newest run with predictions, or else the
            newest run

    Returns:
        the run; None if the dataset has none

    Raises:
        ValueError: if there is no run with the key
    """
    if key is not None:
        return load_run(dataset, key)
    if (newest := newest_run(dataset)) is None:
        return None
    runs = [load_run(dataset, one) for one in (newest, *reversed(list_runs(dataset)))]
    return next((run for run in runs if field_of(dataset, run)), runs[0])


def field_of(dataset: fo.Dataset, run: Run | None) -> str | None:
    """Return the field with predictions of the current version of a run; None if there is none.

    Without a run, a field is returned whose classes include at least two of the dataset's labels.
    """
    for name in prediction_fields(dataset):
        info = field_info(dataset, name)
        if run is not None:
            if info.get("run") == run.key and info.get("version") == run.version:
                return name
        elif _are_labels(dataset, info):
            return name
    return None


def _are_labels(dataset: fo.Dataset, info: dict) -> bool:
    label_field = info.get("label_field")
    if label_field is None or dataset.get_field(label_field) is None:
        return False
    known = set(dataset.distinct(path_in(dataset, label_field)))
    return len(known & set(info.get("classes") or [])) > 1


def results_of(
    samples: Samples, label_field: str, prediction_field: str
) -> tuple[Results, Samples] | None:
    """Compare predictions with labels.

    Args:
        samples: a dataset or view; of a dataset, the samples tagged "test" are evaluated, or else
            those tagged "val", or else all; of a view, all
        label_field, prediction_field: the fields to compare

    Returns:
        the results, and the samples that were evaluated; None if no sample has both a label and
        a prediction
    """
    samples = whole(samples)
    out = left_out(samples)
    kept = samples.exclude([i for ids in out.values() for i in ids]) if out else samples
    notes = [f"Left out by reviews: {left_out_words(out)}"] if out else []
    for tag in ("test", "val", None) if isinstance(samples, fo.Dataset) else (None,):
        judged = kept.match_tags(tag) if tag else kept
        counts = confusion_counts(judged, label_field, prediction_field)
        if counts:
            break
    else:
        return None
    of = f"the samples tagged {tag!r}" if tag else "all of these samples"
    trained = len(judged.match_tags("train"))
    if trained:
        notes.append(
            f"{trained:,} of the samples are tagged 'train': the network may have been trained on "
            f"them"
        )
    names = sorted({name for pair in counts for name in pair})
    return Results(of, names, confusion_matrix(counts, names), notes), judged


def heatmap_field_of(dataset: fo.Dataset, prediction_field: str) -> str | None:
    """Return the field with heatmaps of the predicted classes; None if there is none."""
    for name in heatmap_fields(dataset):
        info = field_info(dataset, name)
        if info.get("kind") == "predicted" and info.get("prediction_field") == prediction_field:
            return name
    return None


def mistakes_of(
    judged: Samples, results: Results, label_field: str, prediction_field: str
) -> dict[str, list[Mistake]]:
    """Return the most confident mistakes in the classes with the lowest recall, by class."""
    rows = class_rows(results.matrix, results.names)
    wrong = [row for row in rows if row.labelled > row.right]
    wrong.sort(key=lambda row: (row.recall, -row.labelled, row.name))
    dataset = root_dataset(judged)
    label, predicted = F(path_in(dataset, label_field)), F(f"{prediction_field}.label")
    found = {}
    for name in (row.name for row in wrong[:WORST_CLASSES]):
        is_wrong = (label == name) & (predicted != None) & (predicted != name)  # noqa: E711
        view = judged.match(is_wrong).sort_by(f"{prediction_field}.confidence", reverse=True)
        found[name] = _mistakes(view.limit(MISTAKES), name, prediction_field)
    return found


def _mistakes(view: fo.DatasetView, label: str, prediction_field: str) -> list[Mistake]:
    dataset = root_dataset(view)
    heatmap_field = heatmap_field_of(dataset, prediction_field)
    options, root, found = decode_options(dataset), import_root(dataset), []
    signed, against = False, None
    if heatmap_field is not None:
        signed = is_signed(field_info(dataset, heatmap_field))
        against = against_field(dataset, heatmap_field)
    for sample in view:
        if heatmap_field is not None and sample[heatmap_field] is not None:
            picture, has_heatmap = overlay_of(sample, heatmap_field, against, signed, options)
        else:
            picture, has_heatmap = picture_of(sample.filepath, options), False
        prediction = sample[prediction_field]
        file = shown_file(sample.filepath, root)
        facts = (label, prediction.label, prediction.confidence)
        found.append(Mistake(picture, has_heatmap, file, *facts))
    return found
