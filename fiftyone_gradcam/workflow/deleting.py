"""Delete a run with its files and fields."""

from __future__ import annotations

import os

import fiftyone as fo

from ..dataset import files, run_fields, run_keys, runs
from ..dataset.feature_sources import remove_gone
from ..dataset.fields import root_dataset
from ..dataset.files import run_folder
from ..dataset.live import LiveTraining
from ..dataset.tidying import make_ready
from ..dataset.writing import exclusive

Samples = fo.core.collections.SampleCollection


@exclusive
def delete_run(samples: Samples, key: runs.Run | str, fields: bool = True) -> list[str]:
    """Delete a run with its files, or the files of an interrupted training.

    The fields are deleted first, then the record of the run, the stored features of its network,
    and its files, so that a second call completes an interrupted deletion. Files that another
    dataset uses, such as a clone, are kept.

    Args:
        samples: a dataset or view
        key: a run or its key
        fields: also delete the fields with predictions of this run, and their heatmaps, on the
            whole dataset; only fields that this plugin wrote

    Returns:
        names of the deleted fields

    Raises:
        ValueError: if there is no such run
        PermissionError: if the files are in a read-only folder; nothing is deleted
    """
    dataset = root_dataset(samples)
    dataset.reload()  # another process may have made the run, or written fields for it
    key = run_keys.key_on(dataset, key)
    folder = run_folder(dataset, key)
    names = run_fields.fields_of_run(dataset, key) if fields else []
    is_recorded = key in runs.list_runs(dataset)
    if not (is_recorded or names or os.path.isdir(folder)):
        runs.load_run(dataset, key)  # raises an error that lists the runs
    files.check_deletable([folder, *(files.heatmap_folder(dataset, name) for name in names)])
    paths = runs.paths_of(dataset, key)
    if names:
        count = run_fields.delete_fields(dataset, names)
        print(f"Deleted the fields {', '.join(names)}, and {count} heatmap files")
    run_fields.sweep_deleted_fields(dataset)  # from an interrupted deletion
    if is_recorded:
        dataset.delete_run(key)
        print(f"Deleted run {key!r} of {dataset.name!r}")
    remove_gone(dataset)  # the stored features of its network
    LiveTraining(dataset, key).forget()
    had_files = os.path.isdir(folder)
    files.remove_run_files(dataset, key, paths)
    if any(map(os.path.exists, paths)):
        print(f"Files of {key!r} are kept, because another dataset uses them")
    elif had_files:
        print(f"Deleted {folder}")
    make_ready(dataset)  # removes values of the run that were not written yet
    return names
