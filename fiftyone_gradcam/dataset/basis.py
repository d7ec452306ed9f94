"""What stored values rest on, as digests: the labels and the splits that there were.

A verb keeps a digest with the values that it makes; `freshness` compares it with one of now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import fiftyone as fo

from .fields import path_in, root_dataset
from .review_state import default_label_field
from .splits import split_tags

LEARNED = ("train", "val")  # splits that a training uses


def digest(pairs: Iterable[tuple[str, str]]) -> str:
    """Tells a set of pairs of a sample's id and a text from any other, whatever their order."""
    lines = sorted(f"{sample_id}\0{text}" for sample_id, text in pairs)
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return f"{len(lines)} {hashlib.blake2b(text, digest_size=12).hexdigest()}"


def basis_of_training(samples: fo.core.collections.SampleCollection, label_field: str) -> dict:
    """What a run rests on, to be kept with it: "split", and of a whole dataset "labels".

    Args:
        samples: that are trained on
        label_field: of the classes
    """
    snapshot = Snapshot(root_dataset(samples), label_field)
    found = {"split": snapshot.split()}
    return found | ({"labels": snapshot.learned()} if isinstance(samples, fo.Dataset) else {})


def all_labels(samples: fo.core.collections.SampleCollection) -> str:
    """A digest of the labels, that work on a dataset is about, of all its samples."""
    dataset = root_dataset(samples)
    return Snapshot(dataset, default_label_field(dataset)).all_labels()


def now_text() -> str:
    """Now, in UTC and ISO 8601, as decisions of reviews have it."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()


class Snapshot:
    """Labels and splits of all samples as they are now, read once.

    Args:
        dataset: of the samples
        label_field: of the labels; a field that is gone holds none
        more: further top-level fields whose values are kept in `values`
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
        """A digest of which samples are in which split."""
        return digest(self.parts.items())

    def samples(self) -> str:
        """A digest of which samples there are."""
        return digest((sample_id, "") for sample_id in self.ids)

    def learned(self) -> str:
        """A digest of the labels that a training of the whole dataset uses."""
        return self.labels_where(lambda sample_id: self.parts.get(sample_id) in LEARNED)

    def labels_where(self, holds: Callable[[str], object]) -> str:
        """A digest of the labels of the samples of whose ids something holds."""
        return digest((i, label) for i, label in self.labels.items() if holds(i))

    def named(self, label: str) -> str:
        """A digest of which samples have a label."""
        return self.labels_where(lambda sample_id: self.labels[sample_id] == label)

    def all_labels(self) -> str:
        """A digest of the labels of all samples."""
        return digest(self.labels.items())
