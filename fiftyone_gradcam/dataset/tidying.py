"""What passes that were killed have left: heatmap files that nobody refers to."""

from __future__ import annotations

import os

import fiftyone as fo

from .fields import refresh
from .files import dataset_folder, remove_heatmap_files
from .heatmaps import heatmap_fields
from .spool import READY, WAITING, settle, spools


def remove_leftovers(dataset: fo.Dataset) -> int:
    """Delete the heatmap files of a dataset that no sample refers to, and no value that waits.

    No pass over the dataset may be at work, whose files are referred to later.

    Returns:
        the number of files deleted
    """
    home = os.path.join(dataset_folder(dataset), "heatmaps")
    files = [os.path.join(folder, name) for folder, _, names in os.walk(home) for name in names]
    if not files:
        return 0
    fields = heatmap_fields(dataset)
    shown = {path for name in fields for path in dataset.values(f"{name}.map_path")}
    for spool in (*spools(dataset, WAITING), *spools(dataset, READY)):
        for _, values in spool.rows():
            shown.update(v.get("map_path") for v in values.values() if isinstance(v, dict))
    loose = [path for path in files if path not in shown]
    remove_heatmap_files(dataset, loose)
    for folder, _, _ in os.walk(home, topdown=False):
        if folder != home and not os.listdir(folder):
            os.rmdir(folder)
    return len(loose)


def make_ready(dataset: fo.Dataset) -> None:
    """Bring a dataset into good order before it is changed: what earlier calls left that were cut
    short is completed, or goes. Who calls has the dataset's lock."""
    refresh(dataset)
    if settle(dataset):
        remove_leftovers(dataset)
