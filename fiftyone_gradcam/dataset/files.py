"""Where a dataset's checkpoints and heatmap files live: outside the plugin folder, which the
App's server hands out over HTTP. None is deleted that any dataset of the database refers to."""

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
OWNERS = ".owners"  # a note for each dataset, beside the folders


def files_folder() -> str:
    """The folder of all that this plugin writes."""
    return os.path.join(os.path.expanduser(fo.config.default_dataset_dir), OWN_FOLDER)


def dataset_folder(dataset: fo.Dataset) -> str:
    """The folder of this plugin's files for a dataset; it outlives a change of its name."""
    return os.path.join(files_folder(), str(dataset._doc.id))


def run_folder(dataset: fo.Dataset, key: str) -> str:
    """The folder of a run's checkpoint."""
    return inside(os.path.join(dataset_folder(dataset), RUNS), key)


def heatmap_folder(dataset: fo.Dataset, field: str) -> str:
    """The folder of a heatmap field's files."""
    return inside(os.path.join(dataset_folder(dataset), HEATMAPS), field)


def claim_folder(dataset: fo.Dataset) -> None:
    """Note whose the folder of a dataset's files is.

    Other databases may keep their files in the same place: without the note nobody could tell
    later whether the files of a dataset that this database does not know are of any use.
    """
    note_owner(str(dataset._doc.id), dataset.name)


def note_owner(dataset_id: str, name: str) -> None:
    """`claim_folder` for a dataset that is not loaded."""
    note = owner_note(dataset_id)
    if os.path.exists(note):
        return
    make_folder(os.path.dirname(note))
    facts = {"database": references.database_id(), "dataset": name}
    part = f"{note}.part"  # of one name: who is killed here leaves what the next one replaces
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(facts, file, ensure_ascii=False)
        os.replace(part, note)
    except BaseException as error:
        with suppress(FileNotFoundError):
            os.unlink(part)
        if not (isinstance(error, FileNotFoundError) and os.path.exists(note)):
            raise  # else another process has just written the same


def owner_note(dataset_id: str) -> str:
    """Path of the note of `claim_folder`."""
    return os.path.join(files_folder(), OWNERS, f"{dataset_id}.json")


def owner_of(dataset_id: str) -> dict:
    """What is noted of the folder of a dataset: "database" (its id) and "dataset" (its name); empty
    if there is no note that can be read."""
    try:
        with open(owner_note(dataset_id), encoding="utf-8") as file:
            facts = json.load(file)
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def remove_heatmap_files(dataset: fo.Dataset, paths: Iterable[str | None]) -> int:
    """Delete heatmap files that nobody refers to; anything else is left alone.

    Call it when the values that referred to them have been replaced or deleted: what any sample
    of any dataset of the database still refers to stays (clones show the files of the original).

    Args:
        dataset: whose files these were
        paths: as they were stored; only files that this plugin wrote for a dataset of this
            database are deleted

    Returns:
        the number of files deleted
    """
    own = _of_this_database(paths, dataset, HEATMAPS)
    used = references.heatmaps_in_use(own)
    return sum(_unlink(path) for path in own if path not in used)


def sweep_heatmaps(dataset: fo.Dataset, fields: Iterable[str]) -> int:
    """Delete all heatmap files of some fields that nobody refers to, as of a pass that was killed.

    Nothing may be writing heatmaps of this dataset meanwhile.

    Returns:
        the number of files deleted
    """
    folders = [heatmap_folder(dataset, name) for name in fields]
    folders = [folder for folder in folders if os.path.isdir(folder)]
    used = references.heatmap_tails(str(dataset._doc.id)) if folders else set()
    return sum(remove_unused(folder, used) for folder in folders)


def remove_unused(folder: str, used: set[str], keep: Iterable[str] = ()) -> int:
    """Delete the files below a folder of a dataset that nobody uses, and folders left empty.

    Args:
        folder: inside the folder of a dataset
        used: ends of paths, see `references.heatmap_tails`
        keep: paths of files that stay

    Returns:
        the number of files deleted
    """
    kept = {os.path.abspath(path) for path in keep}
    unused = [path for path in files_below(folder) if end_of(path) not in used]
    return remove_files([path for path in unused if os.path.abspath(path) not in kept], folder)


def remove_files(paths: Iterable[str], folder: str) -> int:
    """Delete files, and all folders left empty below a folder, and itself; returns how many."""
    count = sum(map(_unlink, list(paths)))
    _remove_empty(folder)
    return count


def remove_run_files(
    dataset: fo.Dataset, key: str, others: Iterable[str] = (), keep: Iterable[str] = ()
) -> int:
    """Delete the files of a run, but for those that a run of any dataset refers to.

    Args:
        dataset, key: whose folder
        others: paths elsewhere that the run named: files of the dataset that it was cloned from
        keep: names of files in the folder that stay

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
    """Refuse to begin deleting what cannot be deleted to the end.

    Args:
        folders: files below them, and they themselves, are to be deleted

    Raises:
        PermissionError: naming the folder in which nothing can be deleted
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
    """Paths of all files below a folder; links are files, and are not followed."""
    for home, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(home, name))]
        yield from (os.path.join(home, name) for name in (*names, *links))


def end_of(path: str) -> str | None:
    """The end of the path of a file of this plugin, from the id of a dataset on; None of others."""
    inside = os.path.relpath(os.path.abspath(path), os.path.abspath(files_folder()))
    parts = inside.split(os.sep)
    return "/".join(parts) if re.fullmatch("[0-9a-f]{24}", parts[0]) else None


def _of_this_database(paths: Iterable[str | None], dataset: fo.Dataset, kind: str) -> list[str]:
    """Those of some paths that were written for this dataset, or another one of this database."""
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
    """Remove the empty folders below a folder, and itself if nothing is left in it."""
    for home, _, _ in os.walk(folder, topdown=False):
        if not os.listdir(home):
            os.rmdir(home)


def ready_folder(folder: str, overwrite: bool) -> str:
    """Make a folder to write to, which must be empty unless the user says otherwise.

    Raises:
        FileExistsError, NotADirectoryError: if it is not, or is a file
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
