"""The folders of a dataset's checkpoints, heatmaps and other files, and their deletion.

They are outside the plugin folder, which the App's server serves over HTTP. Files that any dataset
of the database refers to are never deleted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

import fiftyone as fo

from ..disk import OWN_FOLDER, make_folder
from ..folders.path_names import inside
from . import references

HEATMAPS, RUNS, SPOOLS, FEATURES = "heatmaps", "runs", "waiting", "features"
OWNERS = ".owners"  # folder with a note for each dataset


def files_folder() -> str:
    """Return the folder of all files that this plugin writes."""
    return os.path.join(os.path.expanduser(fo.config.default_dataset_dir), OWN_FOLDER)


def dataset_folder(dataset: fo.Dataset) -> str:
    """Return the folder of this plugin's files for a dataset; renaming does not change it."""
    return os.path.join(files_folder(), str(dataset._doc.id))


def run_folder(dataset: fo.Dataset, key: str) -> str:
    """Return the folder of a run's checkpoint."""
    return inside(os.path.join(dataset_folder(dataset), RUNS), key)


def heatmap_folder(dataset: fo.Dataset, field: str) -> str:
    """Return the folder of a heatmap field's files."""
    return inside(os.path.join(dataset_folder(dataset), HEATMAPS), field)


def claim_folder(dataset: fo.Dataset) -> None:
    """Write a note about the owner of a dataset's folder.

    Other databases may use the same place for their files. Without the note, it would be unknown
    whether the files of a dataset that this database does not contain are still needed.
    """
    note_owner(str(dataset._doc.id), dataset.name)


def note_owner(dataset_id: str, name: str) -> None:
    """Do the same as `claim_folder` for a dataset that is not loaded."""
    note = owner_note(dataset_id)
    if os.path.exists(note):
        return
    make_folder(os.path.dirname(note))
    facts = {"database": references.database_id(), "dataset": name}
    part = f"{note}.part"  # a fixed name: the next call replaces a file left by a killed one
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(facts, file, ensure_ascii=False)
        os.replace(part, note)
    except BaseException as error:
        with suppress(FileNotFoundError):
            os.unlink(part)
        if not (isinstance(error, FileNotFoundError) and os.path.exists(note)):
            raise  # otherwise another process has just written the same note


def owner_note(dataset_id: str) -> str:
    """Return the path of the note that `claim_folder` writes."""
    return os.path.join(files_folder(), OWNERS, f"{dataset_id}.json")


def owner_of(dataset_id: str) -> dict:
    """Read the note about the owner of a dataset's folder.

    Returns:
        "database" (the id of the database) and "dataset" (the name of the dataset); empty if there
        is no readable note
    """
    try:
        with open(owner_note(dataset_id), encoding="utf-8") as file:
            facts = json.load(file)
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def remove_heatmap_files(dataset: fo.Dataset, paths: Iterable[str | None]) -> int:
    """Delete heatmap files that are no longer in use.

    Call this after the values that referred to them have been replaced or deleted. Files that a
    sample of any dataset of the database still refers to are kept (clones use the files of the
    original).

    Args:
        dataset: the dataset that the files were written for
        paths: paths as they were stored; only files that this plugin wrote for a dataset of this
            database are deleted

    Returns:
        the number of files deleted
    """
    own = _of_this_database(paths, dataset, HEATMAPS)
    used = references.heatmaps_in_use(own)
    return sum(_unlink(path) for path in own if path not in used)


def sweep_heatmaps(dataset: fo.Dataset, fields: Iterable[str]) -> int:
    """Delete all unused heatmap files of some fields, such as those of a killed pass.

    No heatmaps of this dataset may be written at the same time.

    Returns:
        the number of files deleted
    """
    folders = [heatmap_folder(dataset, name) for name in fields]
    folders = [folder for folder in folders if os.path.isdir(folder)]
    used = references.heatmap_tails(str(dataset._doc.id)) if folders else set()
    return sum(remove_unused(folder, used) for folder in folders)


def remove_unused(folder: str, used: set[str], keep: Iterable[str] = ()) -> int:
    """Delete unused files in a folder and its subfolders, and folders that become empty.

    Args:
        folder: a folder inside the folder of a dataset
        used: ends of the paths of files in use, see `references.heatmap_tails`
        keep: paths of further files to keep

    Returns:
        the number of files deleted
    """
    kept = {os.path.abspath(path) for path in keep}
    unused = [path for path in files_below(folder) if end_of(path) not in used]
    return remove_files([path for path in unused if os.path.abspath(path) not in kept], folder)


def remove_files(paths: Iterable[str], folder: str) -> int:
    """Delete files, then the folders left empty in a folder, and itself; return the file count."""
    count = sum(map(_unlink, list(paths)))
    _remove_empty(folder)
    return count


def remove_run_files(
    dataset: fo.Dataset, key: str, others: Iterable[str] = (), keep: Iterable[str] = ()
) -> int:
    """Delete the files of a run, except those that a run of any dataset refers to.

    Args:
        dataset, key: the run that the folder belongs to
        others: paths outside the folder that the run referred to, such as files of the dataset that
            this one was cloned from
        keep: names of files in the folder to keep

    Returns:
        the number of files deleted
    """
    folder = run_folder(dataset, key)
    kept = [os.path.join(folder, name) for name in keep]
    count = 0
    if os.path.isdir(folder):
        count = remove_unused(folder, references.run_tails(str(dataset._doc.id)), kept)
    for path in _of_this_database(others, dataset, RUNS):
        end = end_of(path)
        if end not in references.run_tails(end.partition("/")[0]) and _unlink(path):
            count += 1
            _remove_empty(os.path.dirname(path))
    return count


def check_deletable(folders: Iterable[str]) -> None:
    """Check that folders can be deleted completely, before any file is deleted.

    Args:
        folders: the folders that will be deleted with all files in them

    Raises:
        PermissionError: if a folder is read-only; the message names it
    """
    for folder in folders:
        if not os.path.isdir(folder):
            continue
        for home in (os.path.dirname(folder), *(home for home, _, _ in os.walk(folder))):
            if not os.access(home, os.W_OK | os.X_OK):
                raise PermissionError(
                    f"Nothing was deleted: the folder {home!r} is read-only. Make it writable, and "
                    f"call again"
                )


def files_below(folder: str) -> Iterator[str]:
    """Yield the paths of all files in a folder and its subfolders; links count as files."""
    for home, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(home, name))]
        yield from (os.path.join(home, name) for name in (*names, *links))


def end_of(path: str) -> str | None:
    """Return the end of a path, starting with the id of a dataset; None if it is not our file."""
    inside = os.path.relpath(os.path.abspath(path), os.path.abspath(files_folder()))
    parts = inside.split(os.sep)
    return "/".join(parts) if re.fullmatch("[0-9a-f]{24}", parts[0]) else None


def _of_this_database(paths: Iterable[str | None], dataset: fo.Dataset, kind: str) -> list[str]:
    """Return those of some paths that were written for a dataset of this database."""
    known = {str(dataset._doc.id): True}
    found = []
    for path in dict.fromkeys(paths):
        parts = (end_of(path) or "").split("/") if path else []
        if len(parts) < 4 or parts[1] != kind:
            continue
        if parts[0] not in known:
            is_noted = owner_of(parts[0]).get("database") == references.database_id()
            known[parts[0]] = is_noted or parts[0] in references.dataset_ids()
        if known[parts[0]]:
            found.append(path)
    return found


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _remove_empty(folder: str) -> None:
    """Delete the empty subfolders of a folder, and the folder itself if it becomes empty."""
    for home, _, _ in os.walk(folder, topdown=False):
        if not os.listdir(home):
            os.rmdir(home)


def ready_folder(folder: str, overwrite: bool) -> str:
    """Create a folder to write to, which must be empty unless `overwrite` is True.

    Returns:
        the absolute path of the folder

    Raises:
        FileExistsError: if the folder is not empty and `overwrite` is False
        NotADirectoryError: if it is a file
    """
    folder = os.path.abspath(os.path.expanduser(folder))
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise NotADirectoryError(f"{folder} is a file. Name a folder")
    if os.path.isdir(folder) and os.listdir(folder) and not overwrite:
        raise FileExistsError(
            f"The folder {folder} is not empty. Choose another, or pass overwrite=True to write "
            f"into it and replace files of the same names"
        )
    os.makedirs(folder, exist_ok=True)
    return folder
