"""Facts about the files of samples, by which changed and moved files are recognized.

They are stored in the metadata of the sample, next to FiftyOne's own: `metadata.mtime`, the time of
the last change in nanoseconds, and `metadata.digest`, which is the same for equal files.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import fiftyone as fo
from bson import ObjectId
from fiftyone.core.odm import bulk_write
from pymongo import UpdateOne

from ..folders.verify import Facts, state_of

TRUNCATED = "truncated"  # tag of samples whose files are truncated
VALUES = ("size_bytes", "mtime", "digest", "width", "height", "num_channels")
WRITTEN = ("filepath", "metadata", "tags")


class Known(NamedTuple):
    """A sample and the facts about its file when it was last read; unknown facts are None."""

    id: str
    path: str
    label: str | None
    size: int | None
    mtime: int | None
    digest: str | None
    width: int | None
    height: int | None
    num_channels: int | None

    def has_changed(self) -> bool:
        """Return whether the file may have changed or was never read; False if it is missing."""
        return state_of(self.path) not in (None, (self.size, self.mtime))

    def differs(self, facts: Facts) -> bool:
        """Return whether the content of the file has changed, as far as the old one is known."""
        if self.digest is not None:
            return self.digest != facts.digest
        then = (self.size, self.width, self.height, self.num_channels)
        now = (facts.size_bytes, facts.width, facts.height, facts.num_channels)
        return any(a not in (None, b) for a, b in zip(then, now, strict=True))


def known_files(
    samples: fo.core.collections.SampleCollection, label_field: str | None = None
) -> dict[str, Known]:
    """Return the samples of a collection by file path.

    Args:
        samples: a dataset or view
        label_field: the field of the labels; if None, labels are not read
    """
    fields = ["id", "filepath", *(f"metadata.{x}" for x in VALUES)]
    ids, paths, *facts = samples.values(fields)
    labels = samples.values(f"{label_field}.label") if label_field else [None] * len(ids)
    rows = zip(ids, paths, labels, *facts, strict=True)
    return {known.path: known for known in (Known(*row) for row in rows)}


def metadata_of(facts: Facts) -> fo.ImageMetadata:
    """Return the metadata to store for a file."""
    return fo.ImageMetadata(
        size_bytes=facts.size_bytes,
        mime_type=facts.mime_type,
        width=facts.width,
        height=facts.height,
        num_channels=facts.num_channels,
        mtime=facts.mtime,
        digest=facts.digest,
    )


def write_files(dataset: fo.Dataset, found: Sequence[tuple[str, str, Facts]]) -> list[dict]:
    """Store new paths and metadata of files; other fields of the samples are unchanged.

    Args:
        dataset: the dataset of the samples
        found: (sample id, path, facts about the file) for each sample

    Returns:
        the values that were replaced, for `restore_files`
    """
    own = {"_id": {"$in": [ObjectId(sample_id) for sample_id, _, _ in found]}}
    before = list(dataset._sample_collection.find(own, WRITTEN))
    now = datetime.now(UTC)
    updates = []
    for sample_id, path, facts in found:
        values = {"filepath": path, "metadata": metadata_of(facts).to_dict()}
        tag = {"$addToSet" if facts.is_truncated else "$pull": {"tags": TRUNCATED}}
        update = {"$set": {**values, "last_modified_at": now}, **tag}
        updates.append(UpdateOne({"_id": ObjectId(sample_id)}, update))
    _write(dataset, updates)
    return before


def restore_files(dataset: fo.Dataset, before: list[dict]) -> None:
    """Restore the values that `write_files` has replaced."""
    _write(
        dataset,
        [
            UpdateOne({"_id": old["_id"]}, {"$set": {x: old.get(x) for x in WRITTEN}})
            for old in before
        ],
    )


def _write(dataset: fo.Dataset, updates: list[UpdateOne]) -> None:
    if updates:
        bulk_write(updates, dataset._sample_collection, batcher=False)
        fo.Sample._reload_docs(dataset._sample_collection_name)


def write_paths(dataset: fo.Dataset, moved: Sequence[tuple[Known, str]]) -> None:
    """Store the new paths of files that were moved but not changed."""
    now = datetime.now(UTC)
    updates = []
    for own, path in moved:
        values = {"filepath": path, "last_modified_at": now}
        if own.digest is not None and (state := state_of(path)):
            values["metadata.mtime"] = state[1]  # or the next import would read the file again
        updates.append(UpdateOne({"_id": ObjectId(own.id)}, {"$set": values}))
    _write(dataset, updates)
