"""Digests of the labels and splits that stored values were computed from.

A verb stores a digest with its results; `freshness` compares it with a digest of the current state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import fiftyone as fo

from .fields import path_in, root_dataset
from .review_state import default_label_field
from .run import CURRENT
from .splits import split_tags

LEARNED = ("train", "val")  # splits that a training uses


def digest(pairs: Iterable[tuple[str, str]]) -> str:
    """Compute a digest that identifies a set of pairs (sample id, text), in any order."""
    lines = sorted(f"{sample_id}\0{text}" for sample_id, text in pairs)
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return f"{len(lines)} {hashlib.blake2b(text, digest_size=12).hexdigest()}"


def basis_of_training(
    samples: fo.core.collections.SampleCollection, label_field: str, labels: str
) -> dict:
    """Return digests of what a run is trained on, to be stored with it.

    Args:
        samples: the samples to train on
        label_field: the field of the classes
        labels: which labels are used (see `labels_before`)

    Returns:
        a dictionary with "split", "held_out", the time "at" which they were read and, for the
        current labels of a whole dataset, "labels"
    """
    at = now_text()  # what is decided while they are read may be missing
    snapshot = Snapshot(root_dataset(samples), label_field)
    found = {"at": at, "split": snapshot.split(), "held_out": snapshot.held_out()}
    is_all = isinstance(samples, fo.Dataset) and labels == CURRENT
    return found | ({"labels": snapshot.learned()} if is_all else {})


def all_labels(samples: fo.core.collections.SampleCollection) -> str:
    """Return a digest of all labels in the default label field of a dataset."""
    dataset = root_dataset(samples)
    return Snapshot(dataset, default_label_field(dataset)).all_labels()


def now_text() -> str:
    """Return the current time in UTC and ISO 8601, in the format of review decisions."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()


class Snapshot:
    """The current labels and splits of all samples, read once.

    Args:
        dataset: the dataset of the samples
        label_field: the field of the labels; a field that does not exist counts as empty
        more: further top-level fields, whose values are stored in `values`
    """

    def __init__(self, dataset: fo.Dataset, label_field: str, more: Iterable[str] = ()):
        path, known, more = path_in(dataset, label_field), split_tags(dataset), list(more)
        self.ids: list[str] = []
        self.labels: dict[str, str] = {}
        self.parts: dict[str, str] = {}
        self.values: dict[str, Mapping] = {}
        is_text = path == label_field
        paths = ["tags", *more, *([path] if dataset.get_field(label_field) is not None else [])]
        for row in dataset._sample_collection.find({}, paths):
            sample_id, label = str(row["_id"]), row.get(label_field)
            label = label if is_text else (label or {}).get("label")
            self.ids.append(sample_id)
            if label:
                self.labels[sample_id] = label
            if part := next((tag for tag in row.get("tags") or () if tag in known), None):
                self.parts[sample_id] = part
            if more:
                self.values[sample_id] = row

    def split(self) -> str:
        """Return a digest of the split of each sample."""
        return digest(self.parts.items())

    def held_out(self) -> str:
        """Return a digest of the samples that runs are judged by: of "test", or else of "val"."""
        part = "test" if "test" in self.parts.values() else "val"
        return digest((sample_id, "") for sample_id, own in self.parts.items() if own == part)

    def samples(self) -> str:
        """Return a digest of the ids of all samples."""
        return digest((sample_id, "") for sample_id in self.ids)

    def learned(self) -> str:
        """Return a digest of the labels that a training on the whole dataset uses."""
        return self.labels_where(lambda sample_id: self.parts.get(sample_id) in LEARNED)

    def labels_where(self, holds: Callable[[str], object]) -> str:
        """Return a digest of the labels of the samples for whose ids a condition holds."""
        return digest((i, label) for i, label in self.labels.items() if holds(i))

    def named(self, label: str) -> str:
        """Return a digest of the samples that have a given label."""
        return self.labels_where(lambda sample_id: self.labels[sample_id] == label)

    def all_labels(self) -> str:
        """Return a digest of the labels of all samples."""
        return digest(self.labels.items())
