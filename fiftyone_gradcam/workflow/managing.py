"""Take runs to other datasets and machines, rename and delete them."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import replace

import fiftyone as fo

from ..dataset import exported, run_fields, runs
from ..dataset.fields import root_dataset
from ..dataset.files import run_folder
from ..dataset.live import LiveTraining
from ..dataset.writing import exclusive

Samples = fo.core.collections.SampleCollection


def export_run(samples: Samples, run: runs.Run | str, folder: str, overwrite: bool = False) -> str:
    """Write a run into a folder that can be taken to another machine.

    The folder gets `weights.pt` (a state dict, for `torch.load(..., weights_only=True)`),
    `run.json` (all that is known of the run, how its network is shown images, and the sha256 of
    the weights), and `curves.png`, `watch.npz` and `watch.png` where the run has them. It appears
    whole or not at all. `import_run` reads it.

    Args:
        samples: a dataset or view
        run: a run, or its key
        folder: where to; it must not exist, or be empty
        overwrite: replace an exported run that is in the folder

    Returns:
        the absolute path of the folder

    Raises:
        ValueError: if there is no such run, or its checkpoint is damaged
        FileNotFoundError: if the checkpoint is gone
        FileExistsError, NotADirectoryError: if something else is in the folder, or it is a file
    """
    run = runs.load_run(root_dataset(samples), run)
    if isinstance(run, runs.Pretrained):
        raise ValueError(f"{run} was not trained here. Pass a run of fine_tune()")
    folder = os.path.realpath(os.path.expanduser(folder))
    _check_target(folder, overwrite)
    parent, name = os.path.split(folder)
    part = os.path.join(parent, f".{name}.{uuid.uuid4().hex[:8]}.part")
    top = part
    while not os.path.exists(os.path.dirname(top)):
        top = os.path.dirname(top)
    try:
        os.makedirs(part)
        exported.write_export(run, part)
        with exported.in_place(part, folder):
            pass
    except BaseException:
        shutil.rmtree(top, ignore_errors=True)  # and folders that were made on the way
        raise
    print(f"Exported {run} to {folder}")
    return folder


@exclusive
def import_run(
    samples: Samples, folder: str, key: str | None = None, overwrite: bool = False
) -> runs.Run:
    """Register a run that `export_run` wrote, so that it predicts as if it was trained here.

    Its recipe keeps the path of the weights that it began with, on the machine where it was
    trained. What is needed to go on with the training is not exported.

    Args:
        samples: a dataset or view
        folder: as `export_run` wrote it
        key: name of the run; None takes the one it had
        overwrite: replace a run, or an interrupted training, of this key

    Returns:
        the run

    Raises:
        FileNotFoundError: if the folder, or one of its files, does not exist
        ValueError: if it is no exported run, or damaged, or of another version, or the key is taken
    """
    dataset = root_dataset(samples)
    folder = os.path.realpath(os.path.expanduser(folder))
    facts = exported.read_export(folder)
    key = facts["key"] if key is None else key
    runs.check_key(dataset, key, overwrite)
    target = run_folder(dataset, key)
    if not overwrite:
        _check_no_remains(dataset, key)
    part = f"{os.path.dirname(target)}{os.sep}.{key}.part"
    shutil.rmtree(part, ignore_errors=True)  # of an import that was killed
    try:
        exported.unpack(folder, facts, part)
        run = _imported(dataset, key, facts, part)
        with exported.in_place(part, target):
            run = runs.save_run(dataset, run)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(f"Imported {run} from {folder}")
    return run


@exclusive
def rename_run(samples: Samples, key: runs.Run | str, new_key: str) -> runs.Run:
    """Give a run another key; its files, and what its predictions say of it, go along.

    At each moment there is a run that loads, under the one key or the other.

    Args:
        samples: a dataset or view
        key: the run, or its key
        new_key: letters, digits and underscores

    Returns:
        the run under its new key

    Raises:
        ValueError: if there is no such run, or the new key is taken or none
    """
    dataset = root_dataset(samples)
    dataset.reload()  # another process may have written fields for the run
    run = runs.load_run(dataset, _key_on(dataset, key))
    runs.check_key(dataset, new_key, overwrite=True)
    if new_key in dataset.list_runs():
        raise ValueError(
            f"Run {new_key!r} exists already on {dataset.name!r}. Choose another key, or call "
            f"delete_run() for it first"
        )
    old, new = os.path.dirname(run.checkpoint), run_folder(dataset, new_key)
    if _is_copy(old, new):  # of a renaming that was killed
        shutil.rmtree(new)
    _check_no_remains(dataset, new_key)
    names = run_fields.fields_of_run(dataset, run.key)
    renamed = _moved(replace(run, key=new_key), old, new)
    try:
        _link_folder(old, new)
        # The record goes to the new key with paths that are good still, and then to the new ones.
        dataset.rename_run(run.key, new_key)
        runs.update_paths(dataset, renamed)
        run_fields.rename_run_in_fields(dataset, names, run.key, new_key)
    except BaseException:
        if new_key in dataset.list_runs():
            dataset.rename_run(new_key, run.key)
        if runs.load_run(dataset, run.key) != run:
            runs.update_paths(dataset, run)
        done = [name for name in run_fields.fields_of_run(dataset, new_key) if name in names]
        run_fields.rename_run_in_fields(dataset, done, new_key, run.key)
        shutil.rmtree(new, ignore_errors=True)  # last: until then a record might need it
        raise
    if os.path.realpath(old) == os.path.realpath(run_folder(dataset, run.key)):  # of a clone: not
        runs.remove_run_files(dataset, run.key)
    print(f"Renamed run {run.key!r} to {new_key!r}")
    return renamed


@exclusive
def delete_run(samples: Samples, key: runs.Run | str, fields: bool = True) -> list[str]:
    """Delete a run: its record and its files; or what is left of an interrupted training.

    First go the fields, then the record, then the files: a second call finishes what was cut short.

    Args:
        samples: a dataset or view
        key: the run, or its key
        fields: delete the fields of its predictions too, with their heatmaps: those that this
            plugin wrote and that name this run, on the whole dataset

    Returns:
        names of the deleted fields

    Raises:
        ValueError: if there is no such run
    """
    dataset = root_dataset(samples)
    dataset.reload()  # another process may have made the run, or written fields for it
    key = _key_on(dataset, key)
    folder = run_folder(dataset, key)
    names = run_fields.fields_of_run(dataset, key) if fields else []
    is_recorded = key in runs.list_runs(dataset)
    if not (is_recorded or names or os.path.isdir(folder)):
        runs.load_run(dataset, key)  # says that there is none, and which there are
    if names:
        files = run_fields.delete_fields(dataset, names)
        print(f"Deleted the fields {', '.join(names)}, and {files} heatmap files")
    if is_recorded:
        dataset.delete_run(key)
        print(f"Deleted run {key!r} of {dataset.name!r}")
    LiveTraining(dataset, key).forget()
    if os.path.isdir(folder):
        shutil.rmtree(folder)
        print(f"Deleted {folder}")
    return names


def _key_on(dataset: fo.Dataset, key: runs.Run | str) -> str:
    """The key of a run of this dataset, whether or not there is one."""
    if isinstance(key, runs.Run):
        if isinstance(key, runs.Pretrained) or key.dataset_name != dataset.name:
            raise ValueError(
                f"{key} is no run of {dataset.name!r}, but of {key.dataset_name!r}. Pass the "
                f"dataset it belongs to, or a key"
            )
        return key.key
    if not isinstance(key, str) or not key.isidentifier():  # it becomes part of a path
        runs.load_run(dataset, key)
    return key


def _check_target(folder: str, overwrite: bool) -> None:
    """Refuse to export where something of the user's is."""
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise NotADirectoryError(f"{folder!r} is a file. Pass the path of a folder")
    files = set(os.listdir(folder)) if os.path.isdir(folder) else set()
    if not files:
        return
    if not overwrite:
        raise FileExistsError(
            f"The folder {folder!r} is not empty. Pass another one, or overwrite=True to replace "
            f"an exported run in it"
        )
    exported.check_replaceable(folder)


def _check_no_remains(dataset: fo.Dataset, key: str) -> None:
    """Refuse to write over the files of a training that was interrupted."""
    folder = run_folder(dataset, key)
    if os.path.isdir(folder) and os.listdir(folder):
        raise ValueError(
            f"{folder!r} holds a training {key!r} of {dataset.name!r} that was interrupted. Choose "
            f"another key, or call delete_run() for it first"
        )


def _imported(dataset: fo.Dataset, key: str, facts: dict, part: str) -> runs.Run:
    """A run of exported facts, whose files are still in `part`."""
    here = run_folder(dataset, key)
    paths = {
        name: os.path.join(here, name)
        for name in (exported.CURVES, exported.WATCH_MAPS, exported.WATCH_STRIP)
        if os.path.isfile(os.path.join(part, name))
    }
    watch = None
    if facts["watched"] is not None and {exported.WATCH_MAPS, exported.WATCH_STRIP} <= set(paths):
        watch = {"ids": facts["watched"], "maps": paths[exported.WATCH_MAPS]}
        watch["strip"] = paths[exported.WATCH_STRIP]
    same = ("classes", "recipe", "history", "validations", "findings", "best_epoch")
    return runs.Run(
        key=key,
        dataset_name=dataset.name,
        **{name: facts.get(name) for name in (*same, "label_field", "val_accuracy", "val_images")},
        checkpoint=runs.checkpoint_path(dataset, key),
        curves=paths.get(exported.CURVES),
        watch=watch,
    )


def _moved(run: runs.Run, old: str, new: str) -> runs.Run:
    """A run whose files are in another folder."""

    def there(path: str | None) -> str | None:
        is_inside = path and os.path.dirname(path) == old
        return os.path.join(new, os.path.basename(path)) if is_inside else path

    watch = run.watch and {
        name: there(value) if name in ("maps", "strip") else value
        for name, value in run.watch.items()
    }
    return replace(run, checkpoint=there(run.checkpoint), curves=there(run.curves), watch=watch)


def _is_copy(old: str, new: str) -> bool:
    """Whether a folder holds the very files of another one (see `_link_folder`)."""
    files = os.listdir(new) if os.path.isdir(new) and os.path.isdir(old) else []
    pairs = [(os.path.join(old, name), os.path.join(new, name)) for name in files]
    return bool(pairs) and all(os.path.isfile(a) and os.path.samefile(a, b) for a, b in pairs)


def _link_folder(old: str, new: str) -> None:
    """The files of a folder in another one too; links cost nothing, where there are any."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)

    if not os.path.isdir(old):
        raise ValueError(f"The files of the run are gone: there is no folder {old!r}")
    part = f"{os.path.dirname(new)}{os.sep}.{os.path.basename(new)}.part"
    shutil.rmtree(part, ignore_errors=True)  # of a renaming that was killed
    try:
        os.makedirs(os.path.dirname(new), exist_ok=True)
        shutil.copytree(old, part, copy_function=link)
        os.rename(part, new)
    finally:
        shutil.rmtree(part, ignore_errors=True)
