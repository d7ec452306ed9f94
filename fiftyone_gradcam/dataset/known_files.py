"""What a dataset knows of its samples' files, so that it is noticed when they change or move.

When a file was last changed, and what equal files have in common, stand with the metadata of its
sample, beside FiftyOne's own facts: `metadata.mtime` (nanoseconds) and `metadata.digest`.
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

TRUNCATED = "truncated"  # tag of samples that are used as far as their files go
VALUES = ("size_bytes", "mtime", "digest", "width", "height", "num_channels")
WRITTEN = ("filepath", "metadata", "tags")


class Known(NamedTuple):
    """A sample and its file, as it was when it was read; None what is not known of it."""

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
        """Whether the file may be another than it was, or was never read; not if it is gone."""
        return state_of(self.path) not in (None, (self.size, self.mtime))

    def differs(self, facts: Facts) -> bool:
        """Whether the content of the file is another than it was, as far as that is known."""
        if self.digest is not None:
            return self.digest != facts.digest
        then = (self.size, self.width, self.height, self.num_channels)
        now = (facts.size_bytes, facts.width, facts.height, facts.num_channels)
        return any(a not in (None, b) for a, b in zip(then, now, strict=True))


def known_files(
    samples: fo.core.collections.SampleCollection, label_field: str | None = None
) -> dict[str, Known]:
    """The samples of a collection by the paths of their files.

    Args:
        samples: a dataset or view
        label_field: of their classes; without, labels are None
    """
    fields = ["id", "filepath", *(f"metadata.{x}" for x in VALUES)]
    ids, paths, *facts = samples.values(fields)
    labels = samples.values(f"{label_field}.label") if label_field else [None] * len(ids)
    rows = zip(ids, paths, labels, *facts, strict=True)
    return {known.path: known for known in (Known(*row) for row in rows)}


def metadata_of(facts: Facts) -> fo.ImageMetadata:
    """What is stored of a file."""
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
    """Store where files are now and what is known of them; all else of the samples stays.

    Args:
        dataset: that they are of
        found: id of a sample, path and facts of its file

    Returns:
        what was stored before, for `restore_files`
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
    """Store again what `write_files` has replaced."""
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
    """Store where files are now that were moved, and are the same as far as that is known."""
    now = datetime.now(UTC)
    updates = []
    for own, path in moved:
        values = {"filepath": path, "last_modified_at": now}
        if own.digest is not None and (state := state_of(path)):
            values["metadata.mtime"] = state[1]  # or it would be read again at the next import
        updates.append(UpdateOne({"_id": ObjectId(own.id)}, {"$set": values}))
    _write(dataset, updates)
