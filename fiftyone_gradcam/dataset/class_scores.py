"""The score of one class of all samples, read by one query."""

from __future__ import annotations

from dataclasses import dataclass

import fiftyone as fo
import numpy as np
from bson import ObjectId

from .fields import field_info, path_in, root_dataset, whole

# A row as the database sends it, in BSON: all rows are of one length, so that 100,000 need no loop.
ROW = np.dtype(
    [
        *(("length", "<i4"), ("id is", "S5"), ("id", "V12")),
        *(("score is", "S7"), ("score", "<f8"), ("own is", "S5"), ("own", "u1")),
        *(("labeled is", "S9"), ("labeled", "u1"), ("end", "u1")),
    ]
)
NONE = float("-inf")  # of a sample without scores; null would have another length

Samples = fo.core.collections.SampleCollection


@dataclass(frozen=True)
class ClassScores:
    """What a classifier says of one class, of N samples that have scores and a label.

    Attributes:
        ids: (N,) of samples, as bytes
        scores: (N,) the probability of the class
        own: (N,) whether the class is the sample's label
    """

    ids: np.ndarray
    scores: np.ndarray
    own: np.ndarray

    def ids_of(self, places: np.ndarray) -> list[str]:
        """Ids of some of the samples."""
        return [str(ObjectId(self.ids[i].tobytes())) for i in places]


def class_scores(
    samples: Samples, label_field: str, prediction_field: str, label: str
) -> ClassScores:
    """Read the scores of a class.

    Args:
        samples: a dataset or view
        label_field: their labels
        prediction_field: whose scores, as `predict` has stored them in the field beside it
        label: one of the classes that it knows

    Raises:
        ValueError: if the predictions do not know the class
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
    # Rows that do not count are dropped here: to look at each twice takes the database longer.
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
