"""Save the most useful views, so that they are listed in the App."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import fiftyone as fo
from bson import json_util

from ..arguments import checked
from ..dataset import fields, views
from ..dataset.evaluation import confusion_counts, prediction_fields, samples_between
from ..dataset.review_state import columns_of
from ..dataset.reviews import left_out
from ..progress import counted

Samples = fo.core.collections.SampleCollection
OWNED = "Saved by save_views"  # prefix of descriptions
MOST_CLASSES, MOST_PAIRS, COUNT = 50, 10, 100


@checked
def save_views(
    samples: Samples, prediction_field: str | None = None, overwrite: bool = False
) -> list[str]:
    """Save views of suspicious labels, low and high scores, mistakes and confused classes.

    The views are: suspicious labels, the lowest and highest scores of each class, confident
    mistakes, the least certain predictions, and the most confused pairs of classes. Views that an
    earlier call saved are replaced. Samples that were excluded or marked unclear in a review are
    left out.

    Args:
        samples: a dataset or view
        prediction_field: field with the predictions; by default (None), the first field that
            `predict` wrote
        overwrite: also replace views of the same names that this function did not save

    Returns:
        the names of the views

    Raises:
        ValueError: if there are neither predictions nor judged labels, or a view of the same name
            exists
    """
    dataset = fields.root_dataset(samples)
    chosen = fields.whole(samples)
    if out := left_out(chosen):
        chosen = chosen.exclude([i for ids in out.values() for i in ids])
    if prediction_field is None:
        prediction_field = next(iter(prediction_fields(dataset)), None)
    made = dict(_views(dataset, chosen, prediction_field))
    if not made:
        raise ValueError(
            f"{dataset.name!r} has neither predictions nor judged labels. Call predict() or "
            f"find_label_issues() first"
        )
    taken = [
        name
        for name in made
        if dataset.has_saved_view(name)
        and not (dataset.get_saved_view_info(name)["description"] or "").startswith(OWNED)
    ]
    if taken and not overwrite:
        raise ValueError(
            f"A view {taken[0]!r} of {dataset.name!r} was not saved by save_views. Rename it, or "
            f"pass overwrite=True to replace it"
        )
    for name, (view, words) in made.items():
        _save(dataset, name, view, f"{OWNED}: {words}")
    print(f"Saved {counted(len(made), 'view')} of {dataset.name!r}")
    return list(made)


def _save(dataset: fo.Dataset, name: str, view: fo.DatasetView, words: str) -> None:
    """Save a view, or update an existing view of the same name in one write.

    FiftyOne replaces a view in two writes: if it is interrupted after the view was deleted and
    before the dataset was updated, it confuses views afterwards, including those of the user.
    """
    if not dataset.has_saved_view(name):
        dataset.save_view(name, view, description=words)
        return
    record = dataset._get_saved_view_doc(name)
    record.description = words
    record.view_stages = [json_util.dumps(x) for x in view._serialize(include_uuids=False)]
    record.last_modified_at = datetime.utcnow()
    record.save()


def _views(
    dataset: fo.Dataset, samples: Samples, prediction_field: str | None
) -> Iterator[tuple[str, tuple[fo.DatasetView, str]]]:
    """Yield the name, view and description of each view."""
    columns = columns_of(dataset) if fields.label_fields(dataset) else None
    if columns is not None and columns.quality:
        yield "suspicious", (views.label_issues(samples), "labels that may be wrong, worst first")
    if prediction_field is None:
        return
    label_field = fields.field_info(dataset, prediction_field).get("label_field", "ground_truth")
    if label_field in fields.label_fields(dataset):
        yield from _by_label(dataset, samples, prediction_field, label_field)
    least = samples.exists(f"{prediction_field}.margin").sort_by(f"{prediction_field}.margin")
    yield "least certain", (least.limit(COUNT), "the two best classes are almost equally probable")


def _by_label(dataset, samples, name: str, label_field: str) -> Iterator:
    wrong = views.mistakes(samples, name)
    yield "confident mistakes", (wrong, "predictions that differ from the label, confident first")
    known = samples.distinct(fields.label_path(dataset, label_field))
    for label in [x for x in known if x][:MOST_CLASSES]:
        for verb, word in ((views.lowest_scores, "lowest"), (views.highest_scores, "highest")):
            view = verb(samples, label, COUNT, name)
            yield f"{word} of {label}", (view, f"the {word} scores of the class")
    counts = confusion_counts(samples, label_field, name)
    pairs = sorted((-n, pair) for pair, n in counts.items() if pair[0] != pair[1])
    for _, (label, predicted) in pairs[:MOST_PAIRS]:
        view = samples_between(samples, label_field, name, label, predicted)
        yield f"{label} as {predicted}", (view, "confused classes, most confident first")
