"""Calls that are cut short at each of their writes, and what is compared afterwards."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import fiftyone as fo
import pymongo.collection

from fiftyone_gradcam.dataset.fields import field_info
from fiftyone_gradcam.dataset.files import dataset_folder
from fiftyone_gradcam.dataset.heatmaps import heatmap_pixels

WRITES = [
    *((pymongo.collection.Collection, name) for name in (
        "bulk_write", "insert_one", "insert_many", "update_one", "update_many", "replace_one",
        "find_one_and_update", "delete_one", "delete_many", "create_index", "create_indexes",
    )),
    (os, "replace"),
    (os, "unlink"),
    (os, "truncate"),
]  # fmt: skip


class Cut(KeyboardInterrupt):
    """What ends a call; as Ctrl-C does, it is no `Exception`."""


@contextmanager
def cut_at(number: int | None, after: bool = False) -> Iterator[list[str]]:
    """End a call at its write of a number, before or after it is done; None only counts.

    Yields:
        the names of the writes so far
    """
    done: list[str] = []
    within = itertools.count()

    def watched(original):
        def call(*args, **kwargs):
            place = next(within)
            done.append(original.__name__)
            if place == number and not after:
                raise Cut
            result = original(*args, **kwargs)
            if place == number:
                raise Cut
            return result

        return call

    patches = [patch.object(home, name, watched(getattr(home, name))) for home, name in WRITES]
    for one in patches:
        one.start()
    try:
        yield done
    finally:
        for one in patches:
            one.stop()


def plain(value):
    """A value that can be compared: of a label what it says, of a heatmap its picture too."""
    if isinstance(value, fo.Label):
        found = {
            name: plain(value[name])
            for name in value.field_names
            if name not in ("id", "map", "map_path", "logits")
        }
        if isinstance(value, fo.Heatmap):
            found["pixels"] = heatmap_pixels(value).tolist()
        return found
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def values_of(dataset: fo.Dataset, names: list[str]) -> dict[str, list]:
    """The values of fields, sample by sample; nothing of fields that do not exist."""
    known = dataset.get_field_schema()
    return {
        name: [plain(value) for value in dataset.values(name)] for name in names if name in known
    }


def facts_of(dataset: fo.Dataset, names: list[str]) -> dict[str, tuple]:
    """What fields say of themselves, without the moment of a training."""
    found = {}
    for name in names:
        if dataset.get_field(name) is not None:
            found[name] = (dataset.get_field(name).description, field_info(dataset, name))
    return found


def loose_files(dataset: fo.Dataset) -> set[str]:
    """Files of heatmaps, parts and values that wait, to which no sample refers."""
    shown = set()
    for name in dataset.get_field_schema(embedded_doc_type=fo.Heatmap):
        shown.update(dataset.values(f"{name}.map_path"))
    return {
        path
        for part in ("heatmaps", "waiting")
        for home, _, names in os.walk(os.path.join(dataset_folder(dataset), part))
        for path in (os.path.join(home, name) for name in names)
        if path not in shown
    }
