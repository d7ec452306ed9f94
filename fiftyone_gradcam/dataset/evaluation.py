"""How predictions compare with labels, counted by the database."""

from __future__ import annotations

import fiftyone as fo
from fiftyone import ViewField as F

from .fields import classification_fields, field_info, path_in, root_dataset, whole

Samples = fo.core.collections.SampleCollection


def prediction_fields(dataset: fo.Dataset) -> list[str]:
    """The classification fields that `predict` wrote."""
    return [n for n in classification_fields(dataset) if field_info(dataset, n).get("run")]


def confusion_counts(
    samples: Samples, label_field: str, prediction_field: str
) -> dict[tuple[str, str], int]:
    """Numbers of samples by label and prediction, of those that have both."""
    samples = whole(samples)
    label = f"${path_in(root_dataset(samples), label_field)}"
    predicted = f"${prediction_field}.label"
    pipeline = [
        {"$group": {"_id": {"label": label, "predicted": predicted}, "count": {"$sum": 1}}},
    ]
    rows = samples._aggregate(post_pipeline=pipeline)
    counts = {(r["_id"].get("label"), r["_id"].get("predicted")): r["count"] for r in rows}
    return {pair: count for pair, count in counts.items() if None not in pair}


def samples_between(
    samples: Samples, label_field: str, prediction_field: str, label: str, predicted: str
) -> fo.DatasetView:
    """The samples of a label that are predicted as a class, the most confident first."""
    samples = whole(samples)
    own = F(path_in(root_dataset(samples), label_field)) == label
    other = F(f"{prediction_field}.label") == predicted
    return samples.match(own & other).sort_by(f"{prediction_field}.confidence", reverse=True)
