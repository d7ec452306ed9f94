"""Find unused files of this plugin, left by deleted datasets and by killed processes.

Files of other databases, which may be in the same folder, are never included.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

import fiftyone.core.odm as foo

from ..locks import dataset_target, locked
from ..progress import counted
from . import references
from .feature_files import PART
from .feature_sources import useless_features
from .files import (
    FEATURES,
    HEATMAPS,
    RUNS,
    SPOOLS,
    end_of,
    files_below,
    files_folder,
    note_owner,
    owner_note,
    owner_of,
    remove_files,
)
from .run_files import STATE

# A file of an existing dataset may be in use by a process on another machine, which no lock shows.
LEAST_AGE_SECONDS = 3600.0


@dataclass(frozen=True)
class Leftover:
    """Unused files in the folder of one dataset.

    Attributes:
        folder: the folder of the dataset
        files: paths of the files
        size: total size of the files in bytes
        since: when the last of them was written, in seconds since 1970
        dataset: name of the dataset; empty if unknown
        is_known: whether they belong to this database; others are deleted only if named explicitly
    """

    folder: str
    files: tuple[str, ...]
    size: int
    since: float
    dataset: str
    is_known: bool

    def __str__(self) -> str:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        whose = f"dataset {self.dataset!r}" if self.dataset else "an unknown dataset"
        files = counted(len(self.files), "file")
        text = f"{self.folder}: {files}, {self.size / 1e6:.1f} MB, since {day}"
        return f"{text}, of {whose}{'' if self.is_known else ', perhaps of another database'}"


def find_leftovers(least_age: float = LEAST_AGE_SECONDS) -> list[Leftover]:
    """Find unused files, except those of datasets that a process is changing at the moment.

    Args:
        least_age: the minimum age, in seconds since the last change, of files of existing datasets

    Returns:
        an entry for each dataset with unused files
    """
    datasets, used = _names(), references.all_tails()
    found = []
    for dataset_id in _folders():
        if dataset_id in datasets:  # so that the owner is known after the dataset is deleted
            with contextlib.suppress(OSError):
                note_owner(dataset_id, datasets[dataset_id])
        with contextlib.suppress(TimeoutError):
            entry = _look(dataset_id, datasets, used, least_age)
            if entry is not None:
                found.append(entry)
    return found


def free(leftover: Leftover) -> tuple[int, int]:
    """Delete unused files, after checking again that each of them is unused.

    Returns:
        the number of files deleted, and their total size in bytes

    Raises:
        PermissionError: if a file cannot be deleted
        TimeoutError: if a process is changing the dataset at the moment
    """
    dataset_id = os.path.basename(leftover.folder)
    with locked(dataset_target(dataset_id), leftover.folder, patience=0):
        used = references.heatmap_tails(dataset_id) | references.run_tails(dataset_id)
        paths = [path for path in leftover.files if end_of(path) not in used]
        if dataset_id in references.dataset_ids():
            useless = useless_features(dataset_id)
            paths = [path for path in paths if not _is_of_use(path, useless)]
        sizes = {path: os.path.getsize(path) for path in paths if os.path.isfile(path)}
        count = remove_files(paths, leftover.folder)
        if not os.path.isdir(leftover.folder) and dataset_id not in references.dataset_ids():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(owner_note(dataset_id))
    return count, sum(sizes.values())


def _look(
    dataset_id: str, datasets: dict[str, str], used: set[str], least_age: float
) -> Leftover | None:
    folder = os.path.join(files_folder(), dataset_id)
    note = owner_of(dataset_id)
    exists = dataset_id in datasets
    if not exists and note and note.get("database") != references.database_id():
        return None  # it belongs to another database
    with locked(dataset_target(dataset_id), folder, patience=0):
        paths = [path for path in files_below(folder) if end_of(path) not in used]
        if exists:
            latest = time.time() - least_age
            home = os.path.join(folder, SPOOLS)
            waits = os.path.isdir(home) and bool(os.listdir(home))  # they refer to heatmaps
            useless = useless_features(dataset_id)
            paths = [p for p in paths if _is_stray(p, waits, useless)]
            paths = [p for p in paths if os.lstat(p).st_mtime <= latest]
        stats = [os.lstat(path) for path in paths]
    if not paths:
        return None
    return Leftover(
        folder=folder,
        files=tuple(paths),
        size=sum(stat.st_size for stat in stats),
        since=max(stat.st_mtime for stat in stats),
        dataset=datasets.get(dataset_id) or str(note.get("dataset") or ""),
        is_known=exists or bool(note),
    )


def _is_stray(path: str, waits: bool, useless: set[str]) -> bool:
    """Return whether a file of an existing dataset, to which nothing refers, is useless.

    Still useful are the state of a training, the output of a job's process, heatmaps of waiting
    values, and features.

    Args:
        path: path of the file
        waits: whether the dataset has values that wait to be stored
        useless: names of the folders of features that are no longer needed
    """
    parts = (end_of(path) or "").split("/")
    if parts[1] == FEATURES:
        return not _is_of_use(path, useless)
    if waits and parts[1] == HEATMAPS:
        return False
    is_state = len(parts) == 4 and parts[3] == STATE and not parts[2].startswith(".")
    return parts[1] in (HEATMAPS, RUNS) and not (parts[1] == RUNS and is_state)


def _is_of_use(path: str, useless: set[str]) -> bool:
    """Return whether a file holds features that may still be needed."""
    parts = (end_of(path) or "").split("/")
    is_kept = len(parts) == 4 and parts[1] == FEATURES and not parts[3].endswith(PART)
    return is_kept and parts[2] not in useless


def _names() -> dict[str, str]:
    found = foo.get_db_conn().datasets.find({}, {"name": 1})
    return {str(dataset["_id"]): dataset["name"] for dataset in found}


def _folders() -> Iterable[str]:
    """Yield the ids of the datasets that have a folder."""
    home = files_folder()
    for name in sorted(os.listdir(home)) if os.path.isdir(home) else ():
        path = os.path.join(home, name)
        if re.fullmatch("[0-9a-f]{24}", name) and os.path.isdir(path) and not os.path.islink(path):
            yield name
