"""Change the key of a run."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import fiftyone as fo

from ..dataset import files, layouts, run_fields, run_files, run_keys, runs
from ..dataset.fields import root_dataset
from ..dataset.files import run_folder
from ..dataset.writing import exclusive
from ..disk import make_folder

Samples = fo.core.collections.SampleCollection


@exclusive
def rename_run(samples: Samples, key: runs.Run | str, new_key: str) -> runs.Run:
    """Change the key of a run; its files and the record of its predictions follow.

    The run can be loaded at any moment, under one key or the other. If a call was interrupted, the
    same call completes it.

    Args:
        samples: a dataset or view
        key: the run, or its current key
        new_key: the new key; letters, digits and underscores

    Returns:
        the run under its new key

    Raises:
        ValueError: if there is no such run, or the new key is invalid or exists
    """
    dataset = root_dataset(samples)
    dataset.reload()  # another process may have written fields for the run
    old_key = run_keys.key_on(dataset, key)
    if runs.renamed_from(dataset, new_key) == old_key and not runs.has_run(dataset, old_key):
        paths = []  # renamed by an interrupted call; its remaining files are removed below
        names = run_fields.fields_of_run(dataset, old_key)
        run_fields.rename_run_in_fields(dataset, names, old_key, new_key)
        layouts.rename_run_in_layouts(dataset, old_key, new_key)
    else:
        paths = _rename(dataset, runs.load_run(dataset, old_key), new_key)
    files.remove_run_files(dataset, old_key, paths)
    renamed = runs.load_run(dataset, new_key)
    runs.update_paths(dataset, renamed)
    print(f"Renamed run {old_key!r} to {new_key!r}")
    return renamed


def _rename(dataset: fo.Dataset, run: runs.Run, new_key: str) -> list[str]:
    """Rename a run and its fields, or change nothing; return the paths of its files before."""
    run_keys.check_key(dataset, new_key, overwrite=True)
    if new_key in dataset.list_runs():
        raise ValueError(
            f"Run {new_key!r} exists already on {dataset.name!r}. Choose another key, or call "
            f"delete_run() for it first"
        )
    new, paths = run_folder(dataset, new_key), _files_of(dataset, run)
    if os.path.dirname(run.checkpoint) != new:  # equal after a rename that was killed
        if _is_copy(paths, new):  # from a rename that was killed earlier
            shutil.rmtree(new)
        run_files.make_room(dataset, new_key)
        if os.path.isdir(new) and os.listdir(new):
            raise ValueError(
                f"{new!r} holds files of a deleted run {new_key!r}, which another dataset uses. "
                f"Choose another key"
            )
    before, names = runs.paths_of(dataset, run.key), run_fields.fields_of_run(dataset, run.key)
    is_linked = False
    try:
        if os.path.dirname(run.checkpoint) != new:
            _link_files(paths, new)
        is_linked = True
        runs.update_paths(dataset, _moved(run, new), renamed_from=run.key)
        dataset.rename_run(run.key, new_key)
        run_fields.rename_run_in_fields(dataset, names, run.key, new_key)
        layouts.rename_run_in_layouts(dataset, run.key, new_key)
    except BaseException:
        if new_key in dataset.list_runs():
            dataset.rename_run(new_key, run.key)
        if is_linked:
            runs.update_paths(dataset, run)
        done = [name for name in run_fields.fields_of_run(dataset, new_key) if name in names]
        run_fields.rename_run_in_fields(dataset, done, new_key, run.key)
        layouts.rename_run_in_layouts(dataset, new_key, run.key)
        files.remove_run_files(dataset, new_key)  # last, because a record may need them until now
        raise
    return before


def _files_of(dataset: fo.Dataset, run: runs.Run) -> list[str]:
    """Existing files of a run, including its training state."""
    watch = run.watch or {}
    named = [run.checkpoint, run.curves, watch.get("maps"), watch.get("strip")]
    homes = (run_folder(dataset, run.key), os.path.dirname(run.checkpoint))
    states = [os.path.join(home, run_files.STATE) for home in homes]
    found = [path for path in (*named, *states) if path and os.path.isfile(path)]
    return list({os.path.basename(path): path for path in reversed(found)}.values())


def _moved(run: runs.Run, new: str) -> runs.Run:
    """Return a run whose files are in another folder."""

    def there(path: str | None) -> str | None:
        return path and os.path.join(new, os.path.basename(path))

    watch = run.watch and {
        name: there(value) if name in ("maps", "strip") else value
        for name, value in run.watch.items()
    }
    return replace(run, checkpoint=there(run.checkpoint), curves=there(run.curves), watch=watch)


def _is_copy(paths: list[str], folder: str) -> bool:
    """Whether a folder contains only links to or copies of these files (see `_link_files`)."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    known = {os.path.basename(path): path for path in paths}
    return bool(names) and all(
        name in known and os.path.samefile(known[name], os.path.join(folder, name))
        for name in names
    )


def _link_files(paths: list[str], folder: str) -> None:
    """Add files to another folder: as hard links where possible, otherwise as copies."""
    if not paths:
        raise ValueError("The files of the run do not exist. Train again with fine_tune()")
    part = f"{os.path.dirname(folder)}{os.sep}.{os.path.basename(folder)}.part"
    shutil.rmtree(part, ignore_errors=True)  # from a rename that was killed
    try:
        make_folder(part)
        for path in paths:
            copy = os.path.join(part, os.path.basename(path))
            try:
                os.link(path, copy)
            except OSError:
                shutil.copyfile(path, copy)
        os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
