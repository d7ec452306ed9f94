"""Replacing a dataset: the old one stays until the new one is whole, whenever that is cut off."""

from __future__ import annotations

import hashlib
import shutil

import fiftyone as fo

from .files import dataset_folder
from .import_record import INFO_KEY

MARK = "replaces"  # in the record of a successor: the name that it is to take
LEGACY = "{} (new)"  # name of a successor in earlier versions


def successor_of(name: str) -> str:
    """The name of the dataset that is to take the place of another; no user has one like it."""
    return f"importing {hashlib.sha256(name.encode()).hexdigest()[:12]} {name[:60]}"


def clear_up(name: str) -> None:
    """Finish or undo what replacements of a dataset that were cut off have left.

    One whose new dataset was whole is finished; what is left of another is deleted. The caller
    holds the lock of the dataset's name, so that none of them is going on.
    """
    for other in (successor_of(name), LEGACY.format(name)):
        if fo.dataset_exists(other):
            found = fo.load_dataset(other)
            record = found.info.get(INFO_KEY, {})
            if record.get(MARK) == name and record["whole"]:
                take_place(found, name)
            elif record.get(MARK) == name or other == successor_of(name):
                delete_with_files(found)
    if fo.dataset_exists(name):
        dataset = fo.load_dataset(name)
        if dataset.info.get(INFO_KEY, {}).get(MARK) == name:  # cut off in its last step
            _sign_off(dataset)


def take_place(successor: fo.Dataset, name: str) -> None:
    """Delete the dataset of a name, if it is there still, and give the name to another."""
    if fo.dataset_exists(name):
        delete_with_files(fo.load_dataset(name))
    successor.name = name
    _sign_off(successor)


def _sign_off(dataset: fo.Dataset) -> None:
    dataset.info[INFO_KEY].pop(MARK)
    dataset.save()


def delete_with_files(dataset: fo.Dataset) -> None:
    """Delete a dataset, then the files of this plugin for it: never files of one that stays."""
    folder = dataset_folder(dataset)
    dataset.delete()
    shutil.rmtree(folder, ignore_errors=True)
