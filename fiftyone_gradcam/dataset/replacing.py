"""Replace a dataset safely: the old one is kept until the new one is complete."""

from __future__ import annotations

import hashlib

import fiftyone as fo
from fiftyone.core.odm import get_db_conn
from fiftyone.core.utils import to_slug
from pymongo import UpdateOne

from . import references
from .files import dataset_folder, remove_unused
from .import_record import INFO_KEY

MARK = "replaces"  # key in the record of a new dataset: the name of the one that it replaces
LEGACY = "{} (new)"  # name of the new dataset in earlier versions


def successor_of(name: str) -> str:
    """Return the temporary name of the dataset that will replace another; no user chooses it."""
    return f"importing {_short(name)}"


def leaving_of(name: str) -> str:
    """Return the temporary name of a replaced dataset, until it is deleted."""
    return f"replaced {_short(name)}"


def _short(name: str) -> str:
    return f"{hashlib.sha256(name.encode()).hexdigest()[:12]} {name[:60]}"


def clear_up(name: str) -> None:
    """Finish or undo interrupted replacements of a dataset.

    If the new dataset is complete, the replacement is finished; otherwise the new dataset is
    deleted. The caller must hold the lock of the dataset's name, so that no replacement is running.
    """
    for other in (successor_of(name), LEGACY.format(name)):
        if fo.dataset_exists(other):
            found = fo.load_dataset(other)
            record = found.info.get(INFO_KEY, {})
            if record.get(MARK) == name and record["whole"]:
                take_place(found, name)
            elif record.get(MARK) == name or other == successor_of(name):
                delete_with_files(found)
    if fo.dataset_exists(leaving_of(name)):
        delete_with_files(fo.load_dataset(leaving_of(name)))


def take_place(successor: fo.Dataset, name: str) -> None:
    """Give a dataset the name of another, and delete the other.

    Both names change in a single database command, so that there is a dataset at any time.
    """
    own = {"name": name, "slug": to_slug(name)}
    updates = [
        UpdateOne(
            {"_id": successor._doc.id},
            {"$set": own, "$unset": {f"info.{INFO_KEY}.{MARK}": ""}},
        )
    ]
    old = fo.load_dataset(name) if fo.dataset_exists(name) else None
    names = (name, successor.name, leaving_of(name))
    if old is not None:
        if fo.dataset_exists(leaving_of(name)):
            delete_with_files(fo.load_dataset(leaving_of(name)))
        other = {"name": leaving_of(name), "slug": to_slug(leaving_of(name))}
        updates.insert(0, UpdateOne({"_id": old._doc.id}, {"$set": other}))
    get_db_conn().datasets.bulk_write(updates, ordered=True)
    for known in names:  # FiftyOne keeps loaded datasets by name
        fo.Dataset._instances.pop(known, None)
    for dataset, known in ((successor, name), (old, leaving_of(name))):
        if dataset is not None:
            dataset._doc.name = known
            dataset.reload()
            fo.Dataset._instances[known] = dataset
    if old is not None:
        delete_with_files(old)


def delete_with_files(dataset: fo.Dataset) -> None:
    """Delete a dataset, then its files of this plugin, except those that other datasets use."""
    folder, own = dataset_folder(dataset), str(dataset._doc.id)
    dataset.delete()
    used = references.heatmap_tails(own) | references.run_tails(own)
    remove_unused(folder, used)
