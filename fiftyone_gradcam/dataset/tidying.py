"""Clean up after passes that were killed: unused heatmap files and half-finished writes."""

from __future__ import annotations

import os

import fiftyone as fo

from . import references
from .fields import refresh
from .files import HEATMAPS, dataset_folder, end_of, files_below, remove_unused
from .heatmaps import heatmap_fields
from .spool import READY, WAITING, settle, spools


def remove_leftovers(dataset: fo.Dataset) -> int:
    """Delete the heatmap files of a dataset that no sample and no waiting value refers to.

    No other pass over the dataset may be running: its files are referred to only later.

    Returns:
        the number of files deleted
    """
    home, own_id = os.path.join(dataset_folder(dataset), HEATMAPS), str(dataset._doc.id)
    files = list(files_below(home))
    if not files:
        return 0
    fields = heatmap_fields(dataset)
    shown = {path for name in fields for path in dataset.values(f"{name}.map_path")}
    for spool in (*spools(dataset, WAITING), *spools(dataset, READY)):
        for _, values in spool.rows():
            shown.update(v.get("map_path") for v in values.values() if isinstance(v, dict))
    # Compare the ends of paths: the folder of all files may be reached by another link now.
    used = {references.tail(path, own_id) for path in shown if path and own_id in path}
    if all(end_of(path) in used for path in files):  # no need to search other datasets
        return 0
    return remove_unused(home, used | references.heatmap_tails(own_id))


def make_ready(dataset: fo.Dataset) -> None:
    """Complete or undo what interrupted calls have left in a dataset, before it is changed.

    The caller must hold the dataset's lock.
    """
    refresh(dataset)
    if settle(dataset):
        remove_leftovers(dataset)
