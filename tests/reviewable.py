"""A small dataset whose labels can be reviewed, and what is stored of it."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
from bson import json_util

from fiftyone_gradcam.dataset.prediction_fields import PREDICTION_ATTRIBUTES
from fiftyone_gradcam.dataset.review_state import own_score
from fiftyone_gradcam.dataset.storing import Declared, declare

CLASSES = ["bird", "cat", "dog"]
SCORES = [[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.0, 1.0, 0.0], [0.2, 0.2, 0.6]]
LABELS = ["cat", "bird", "cat", None]


def make_reviewable(name: str) -> fo.Dataset:
    """Four samples with labels, predictions with all scores, and suggestions for two of them."""
    dataset = fo.Dataset(name, persistent=True)
    facts = {"run": "r", "classes": CLASSES, "label_field": "own"}
    predicted = Declared("classification", "Of r", facts, PREDICTION_ATTRIBUTES)
    declare(dataset, "prediction", predicted)
    declare(dataset, "prediction_scores", Declared("floats", "Of r", facts, {}))
    judged = {"classes": CLASSES, "label_field": "own"}
    declare(dataset, "label_quality", Declared("float", "low is bad", judged, {}))
    declare(dataset, "suggested_label", Declared("classification", "another", judged, {}))
    samples = []
    for number, (label, found) in enumerate(zip(LABELS, SCORES, strict=True)):
        sample = fo.Sample(filepath=f"/{number}.png", tags=["train", f"t{number}"])
        sample["own"] = label and fo.Classification(label=label, tags=["mine"], note=f"n{number}")
        best = int(np.argmax(found))
        sample["prediction"] = fo.Classification(
            label=CLASSES[best],
            confidence=found[best],
            logits=np.log(np.array(found) + 1e-9),
            label_score=own_score(found, CLASSES, label),
            margin=float(np.diff(np.sort(found))[-1]),
            entropy=0.5,
        )
        sample["prediction_scores"] = found
        if number < 2:
            sample["label_quality"] = 0.05 + number / 10
            other = fo.Classification(label="dog", confidence=0.9)
            sample["suggested_label"] = other
        samples.append(sample)
    dataset.add_samples(samples, dynamic=True)
    return dataset


def stored(dataset: fo.Dataset) -> str:
    """All samples as the database has them, but for when they were changed."""
    rows = list(dataset._sample_collection.find({}, sort=[("_id", 1)]))
    for row in rows:
        row.pop("last_modified_at")
        for name in [name for name, value in row.items() if value is None]:
            row.pop(name)  # to FiftyOne a value that is empty and one that is missing are the same
    return json_util.dumps(rows)


def at(dataset: fo.Dataset, *places: int) -> fo.DatasetView:
    """A view of the samples at some places."""
    ids = dataset.values("id")
    return dataset.select([ids[i] for i in places], ordered=True)


def one(dataset: fo.Dataset, place: int) -> fo.Sample:
    """The sample at a place."""
    return dataset[dataset.values("id")[place]]
