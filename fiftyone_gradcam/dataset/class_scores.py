"""Read the scores of one class for all samples in a single query."""

from __future__ import annotations

from dataclasses import dataclass

import fiftyone as fo
import numpy as np
from bson import ObjectId

from .fields import field_info, path_in, root_dataset, whole

# A row as the database sends it, in BSON. All rows have the same length, so that 100,000 of them
# are parsed without a loop.
ROW = np.dtype(
    [
        *(("length", "<i4"), ("id is", "S5"), ("id", "V12")),
        *(("score is", "S7"), ("score", "<f8"), ("own is", "S5"), ("own", "u1")),
        *(("labeled is", "S9"), ("labeled", "u1"), ("end", "u1")),
    ]
)
NONE = float("-inf")  # marks a sample without scores; null would have another length

Samples = fo.core.collections.SampleCollection


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class for N samples that have both scores and a label.

    Attributes:
        ids: (N,) sample ids as bytes
        scores: (N,) predicted probabilities of the class
        own: (N,) booleans, True where the class is the sample's label
    """

    ids: np.ndarray
    scores: np.ndarray
    own: np.ndarray

    def ids_of(self, places: np.ndarray) -> list[str]:
        """Return the ids of the samples at some positions."""
        return [str(ObjectId(self.ids[i].tobytes())) for i in places]


def class_scores(
    samples: Samples, label_field: str, prediction_field: str, label: str
) -> ClassScores:
    """Read the scores of a class.

    Args:
        samples: a dataset or view
        label_field: the field of the labels
        prediction_field: the field of the predictions, whose scores `predict` stored in
            `<prediction_field>_scores`
        label: one of the classes of the predictions

    Raises:
        ValueError: if the predictions have no scores of the class
    """
    samples = whole(samples)
    dataset = root_dataset(samples)
    classes = field_info(dataset, prediction_field).get("classes") or []
    if label not in classes:
        raise ValueError(f"{prediction_field!r} has no scores of the class {label!r}")
    place, path = classes.index(label), path_in(dataset, label_field)
    row = f"${prediction_field}_scores"
    is_whole = {"$and": [{"$isArray": row}, {"$eq": [{"$size": row}, len(classes)]}]}
    score = {"$cond": [is_whole, {"$toDouble": {"$arrayElemAt": [row, place]}}, None]}
    # Rows without a score or label are dropped below: filtering in the database takes longer.
    steps = [
        {
            "$project": {
                "score": {"$ifNull": [score, NONE]},
                "own": {"$eq": [f"${path}", {"$literal": label}]},
                "labeled": {"$ne": [{"$ifNull": [f"${path}", ""]}, ""]},
            }
        },
    ]
    batches = dataset._sample_collection.aggregate_raw_batches(
        samples._pipeline(post_pipeline=steps), allowDiskUse=True
    )
    rows = np.frombuffer(b"".join(batches), ROW)
    rows = rows[(rows["labeled"] == 1) & (rows["score"] != NONE)]
    return ClassScores(
        rows["id"].copy(), rows["score"].astype(np.float64), rows["own"].astype(bool)
    )
