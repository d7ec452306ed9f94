"""Compare predictions with labels, by aggregations in the database."""

from __future__ import annotations

import math
from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from ..review.calibration import BINS, Bin, bins_of
from .fields import classification_fields, field_info, path_in, root_dataset, whole
from .reviews import without_left_out

Samples = fo.core.collections.SampleCollection


def prediction_fields(dataset: fo.Dataset) -> list[str]:
    """Return the names of the classification fields that `predict` wrote."""
    return [n for n in classification_fields(dataset) if field_info(dataset, n).get("run")]


def confusion_counts(
    samples: Samples, label_field: str, prediction_field: str
) -> dict[tuple[str, str], int]:
    """Count the samples by label and prediction, among those that have both."""
    samples = whole(samples)
    label = f"${path_in(root_dataset(samples), label_field)}"
    predicted = f"${prediction_field}.label"
    pipeline = [
        {"$group": {"_id": {"label": label, "predicted": predicted}, "count": {"$sum": 1}}},
    ]
    rows = samples._aggregate(post_pipeline=pipeline)
    counts = {(r["_id"].get("label"), r["_id"].get("predicted")): r["count"] for r in rows}
    return {pair: count for pair, count in counts.items() if None not in pair}


def count_mistakes(samples: Samples, prediction_field: str) -> int | None:
    """Return how many predictions differ from the label, as `mistakes` selects them.

    Args:
        samples: a dataset or view; samples that reviews have left out do not count
        prediction_field: a field that `predict` wrote

    Returns:
        None if no label is a class of the classifier, such as one that was trained on ImageNet
    """
    info = field_info(root_dataset(samples), prediction_field)
    if not info.get("label_field"):
        return None
    counted = without_left_out(samples, verbose=False)
    pairs = confusion_counts(counted, info["label_field"], prediction_field)
    if not {label for label, _ in pairs} & set(info.get("classes") or ()):
        return None
    return sum(count for (label, predicted), count in pairs.items() if label != predicted)


def evaluation_counts(
    samples: Samples, label_field: str, prediction_field: str
) -> tuple[dict[tuple[str, str], int], list[Bin]]:
    """Compute `confusion_counts` and the bins of a reliability diagram in one pass.

    Args:
        samples: a dataset or view
        label_field, prediction_field: the fields to compare

    Returns:
        the numbers of samples by label and prediction, and the bins of confidence; predictions
        without a confidence are in none of the bins
    """
    samples = whole(samples)
    label = f"${path_in(root_dataset(samples), label_field)}"
    predicted, confidence = f"${prediction_field}.label", f"${prediction_field}.confidence"
    place = {"$subtract": [{"$ceil": {"$multiply": [confidence, BINS]}}, 1]}
    facts = {"label": label, "predicted": predicted, "bin": place}
    sums = {"count": {"$sum": 1}, "confidence": {"$sum": confidence}}
    rows = samples._aggregate(post_pipeline=[{"$group": {"_id": facts, **sums}}])
    pairs: dict[tuple[str, str], int] = {}
    totals = np.zeros((BINS, 3))  # count, sum of confidences, right
    for row in rows:
        pair = (row["_id"].get("label"), row["_id"].get("predicted"))
        if None in pair:
            continue
        pairs[pair] = pairs.get(pair, 0) + row["count"]
        number = row["_id"].get("bin")
        if number is not None and math.isfinite(number):
            right = row["count"] if pair[0] == pair[1] else 0
            own = (row["count"], row["confidence"], right)
            totals[min(max(int(number), 0), BINS - 1)] += own
    return pairs, bins_of(*totals.T)


def counts_of_two(
    samples: Samples, label_field: str, a: str, b: str
) -> dict[tuple[str, str, str], int]:
    """Count the samples by label and two predictions, among those that have all three."""
    samples = whole(samples)
    label = f"${path_in(root_dataset(samples), label_field)}"
    facts = {"label": label, "a": f"${a}.label", "b": f"${b}.label"}
    rows = samples._aggregate(post_pipeline=[{"$group": {"_id": facts, "count": {"$sum": 1}}}])
    counts = {tuple(r["_id"].get(x) for x in ("label", "a", "b")): r["count"] for r in rows}
    return {three: count for three, count in counts.items() if None not in three}


def samples_between(
    samples: Samples, label_field: str, prediction_field: str, label: str, predicted: str
) -> fo.DatasetView:
    """Return the samples with a label that are predicted as a class, the most confident first."""
    return samples_among(samples, label_field, prediction_field, [label], [predicted])


def samples_among(
    samples: Samples,
    label_field: str,
    prediction_field: str,
    labels: Sequence[str] | None,
    predicted: Sequence[str] | None,
) -> fo.DatasetView:
    """Return the samples with some labels that are predicted as some classes.

    Args:
        samples: a dataset or view
        label_field, prediction_field: the fields to compare
        labels, predicted: the classes; by default (None), all

    Returns:
        a view, the most confident predictions first
    """
    samples = whole(samples)
    own, found = path_in(root_dataset(samples), label_field), f"{prediction_field}.label"
    wanted = {own: _one_of(labels), found: _one_of(predicted)}
    return samples.match(wanted).sort_by(f"{prediction_field}.confidence", reverse=True)


def _one_of(names: Sequence[str] | None) -> dict:
    """Return a query for names; in an expression, a name starting with "$" would mean a field."""
    return {"$ne": None} if names is None else {"$in": list(names)}


def samples_of_class(
    samples: Samples, label_field: str, prediction_field: str, label: str, wrong: bool = False
) -> fo.DatasetView:
    """Return the samples with a label, those with the lowest scores first.

    Args:
        samples: a dataset or view
        label_field, prediction_field: the fields of the labels and predictions
        label: the class
        wrong: return only samples that are predicted as another class
    """
    samples = whole(samples)
    own = path_in(root_dataset(samples), label_field)
    wanted: dict = {own: {"$eq": label}}
    if wrong:
        wanted[f"{prediction_field}.label"] = {"$nin": [label, None]}
    return samples.match(wanted).sort_by(f"{prediction_field}.label_score")


def samples_compared(
    samples: Samples, label_field: str, a: str, b: str, right_a: bool, right_b: bool
) -> fo.DatasetView:
    """Return the samples that two prediction fields have right or wrong.

    Args:
        samples: a dataset or view
        label_field: the field of the labels
        a, b: the two fields of predictions
        right_a, right_b: whether the prediction in the field is correct

    Returns:
        a view, the most confident predictions in `b` first
    """
    samples = whole(samples)
    own = f"${path_in(root_dataset(samples), label_field)}"
    is_right = [
        {"$eq" if right else "$ne": [f"${name}.label", own]}
        for name, right in ((a, right_a), (b, right_b))
    ]
    known = {path: {"$ne": None} for path in (own[1:], f"{a}.label", f"{b}.label")}
    wanted = {**known, "$expr": {"$and": is_right}}
    return samples.match(wanted).sort_by(f"{b}.confidence", reverse=True)
