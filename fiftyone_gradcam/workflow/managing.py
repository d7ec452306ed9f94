"""Take runs to other datasets and machines, rename and delete them."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import fiftyone as fo

from ..arguments import checked
from ..dataset import exported, files, run_fields, runs
from ..dataset.fields import root_dataset
from ..dataset.files import run_folder
from ..dataset.imported_weights import facts_of_weights, unpack_weights
from ..dataset.kept_features import remove_gone
from ..dataset.live import LiveTraining
from ..dataset.tidying import make_ready
from ..dataset.writing import exclusive, export_lock, patience
from ..disk import make_folder
from ..locks import locked

Samples = fo.core.collections.SampleCollection


@checked
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
    parent, name = os.path.split(folder)
    part = os.path.join(parent, f".{name}.{uuid.uuid4().hex[:8]}.part")
    with locked(export_lock(folder), f"Folder {folder!r}", patience()):
        exported.clear_up(folder)
        _check_target(folder, overwrite)
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


@checked
@exclusive
def import_run(
    samples: Samples,
    folder: str | None = None,
    key: str | None = None,
    overwrite: bool = False,
    *,
    weights: str | None = None,
    backbone: str | None = None,
    classes: Sequence[str] | None = None,
    label_field: str | None = None,
    image_size: int | None = None,
    resize: str | None = None,
) -> runs.Run:
    """Register a run that `export_run` wrote, or a checkpoint of a torchvision network that was
    trained elsewhere, so that it predicts as if it was trained here.

    The recipe of an exported run keeps the path of the weights that it began with, on the machine
    where it was trained. What is needed to resume the training is not exported.

    Args:
        samples: a dataset or view
        folder: as `export_run` wrote it; with `weights` the key may stand here
        key: name of the run; None takes the one it had
        overwrite: replace a run, or an interrupted training, of this key
        weights: instead of a folder, the path of a file with a state dict, as torch.save or
            Lightning wrote it; it is copied
        backbone: of these weights: a name of torchvision's, such as "resnet18"
        classes: names of their classes, in the order of the logits; None takes the labels of
            `label_field` in alphabetical order, as torchvision's ImageFolder numbers them
        label_field: the samples' own labels, for what compares with them; None takes "ground_truth"
        image_size: side of the square that the network was shown, in pixels; None takes the
            backbone's
        resize: how images became square: "crop" (as if None), "squash" or "letterbox"

    Returns:
        the run

    Raises:
        FileNotFoundError: if the folder, or one of its files, or the weights do not exist
        ValueError: if it is no exported run, or damaged, or of another version, or the key is
            taken; or if the weights do not fit the backbone or the number of classes
    """
    dataset = root_dataset(samples)
    if weights is not None:
        folder, key = (folder, key) if key is not None else (None, folder)
    choices = (backbone, classes, label_field, image_size, resize)
    _check_source(folder, weights, key, choices)
    if weights is None:
        source = folder = os.path.realpath(os.path.expanduser(folder))
        facts = exported.read_export(folder)
        key = facts["key"] if key is None else key
        unpack = partial(exported.unpack, folder)
    else:
        source = os.path.realpath(os.path.expanduser(weights))
        facts = facts_of_weights(dataset, source, *choices)
        unpack = partial(unpack_weights, source)
    runs.check_key(dataset, key, overwrite)
    home = run_folder(dataset, key)
    if not overwrite:
        _make_room(dataset, key)
    replaced = runs.paths_of(dataset, key)
    target = os.path.join(home, uuid.uuid4().hex[:8]) if os.path.isdir(home) else home
    part = f"{os.path.dirname(home)}{os.sep}.{key}.part"
    shutil.rmtree(part, ignore_errors=True)  # of an import that was killed
    try:
        unpack(facts, part)
        os.rename(part, target)
        run = runs.save_run(dataset, _imported(dataset, key, facts, target))
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(Exception):  # of the database: the next call tidies up
            runs.remove_others(dataset, key)
        raise
    runs.remove_others(dataset, key, replaced, keep_state=False)
    print(f"Imported {run} from {source}")
    return run


def _check_source(folder: str | None, weights: str | None, key: str | None, choices: tuple) -> None:
    """Refuse arguments that are of an exported run and of a checkpoint at once, or of neither."""
    if weights is None:
        if folder is None:
            raise ValueError(
                "Pass folder= of an exported run, or weights= with the path of a checkpoint"
            )
        if any(choice is not None for choice in choices):
            raise ValueError(
                "backbone, classes, label_field, image_size and resize are of weights=; an "
                "exported run has its own. Leave them out"
            )
    elif folder is not None:
        raise ValueError("Pass folder= of an exported run or weights=, not both")
    elif key is None:
        raise ValueError("Pass key=, the name of the run that the weights become")


@exclusive
def rename_run(samples: Samples, key: runs.Run | str, new_key: str) -> runs.Run:
    """Give a run another key; its files, and what its predictions say of it, go along.

    At each moment there is a run that loads, under the one key or the other; where this was cut
    short, the same call finishes it.

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
    old_key = _key_on(dataset, key)
    if runs.renamed_from(dataset, new_key) == old_key and not runs.has_run(dataset, old_key):
        paths = []  # by a call that was cut short: what is left in the old folder goes below
        names = run_fields.fields_of_run(dataset, old_key)
        run_fields.rename_run_in_fields(dataset, names, old_key, new_key)
    else:
        paths = _rename(dataset, runs.load_run(dataset, old_key), new_key)
    files.remove_run_files(dataset, old_key, paths)
    renamed = runs.load_run(dataset, new_key)
    runs.update_paths(dataset, renamed)
    print(f"Renamed run {old_key!r} to {new_key!r}")
    return renamed


def _rename(dataset: fo.Dataset, run: runs.Run, new_key: str) -> list[str]:
    """Rename a run and what its fields say, or nothing; returns the paths that it named before."""
    runs.check_key(dataset, new_key, overwrite=True)
    if new_key in dataset.list_runs():
        raise ValueError(
            f"Run {new_key!r} exists already on {dataset.name!r}. Choose another key, or call "
            f"delete_run() for it first"
        )
    new, paths = run_folder(dataset, new_key), _files_of(dataset, run)
    if os.path.dirname(run.checkpoint) != new:  # else of a renaming that was killed
        if _is_copy(paths, new):  # of one that was killed earlier
            shutil.rmtree(new)
        _make_room(dataset, new_key)
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
    except BaseException:
        if new_key in dataset.list_runs():
            dataset.rename_run(new_key, run.key)
        if is_linked:
            runs.update_paths(dataset, run)
        done = [name for name in run_fields.fields_of_run(dataset, new_key) if name in names]
        run_fields.rename_run_in_fields(dataset, done, new_key, run.key)
        files.remove_run_files(dataset, new_key)  # last: until then a record might need it
        raise
    return before


@exclusive
def delete_run(samples: Samples, key: runs.Run | str, fields: bool = True) -> list[str]:
    """Delete a run: its record and its files; or what is left of an interrupted training.

    First go the fields, then the record, then the features that its network said of images, then
    the files: a second call finishes what was cut short. Files that another dataset uses, such as a
    clone, stay.

    Args:
        samples: a dataset or view
        key: the run, or its key
        fields: delete the fields of its predictions too, with their heatmaps: those that this
            plugin wrote and that name this run, on the whole dataset

    Returns:
        names of the deleted fields

    Raises:
        ValueError: if there is no such run
        PermissionError: if its files are in a folder that is read-only; nothing is deleted then
    """
    dataset = root_dataset(samples)
    dataset.reload()  # another process may have made the run, or written fields for it
    key = _key_on(dataset, key)
    folder = run_folder(dataset, key)
    names = run_fields.fields_of_run(dataset, key) if fields else []
    is_recorded = key in runs.list_runs(dataset)
    if not (is_recorded or names or os.path.isdir(folder)):
        runs.load_run(dataset, key)  # says that there is none, and which there are
    files.check_deletable([folder, *(files.heatmap_folder(dataset, name) for name in names)])
    paths = runs.paths_of(dataset, key) if is_recorded else []
    if names:
        count = run_fields.delete_fields(dataset, names)
        print(f"Deleted the fields {', '.join(names)}, and {count} heatmap files")
    run_fields.sweep_deleted_fields(dataset)  # of a deletion that was cut short
    if is_recorded:
        dataset.delete_run(key)
        print(f"Deleted run {key!r} of {dataset.name!r}")
    remove_gone(dataset)  # what its network said of images
    LiveTraining(dataset, key).forget()
    had_files = os.path.isdir(folder)
    files.remove_run_files(dataset, key, paths)
    if any(map(os.path.exists, paths)):
        print(f"Files of {key!r} stay, for another dataset uses them")
    elif had_files:
        print(f"Deleted {folder}")
    make_ready(dataset)  # values of the run that waited go
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


def _make_room(dataset: fo.Dataset, key: str) -> None:
    """Delete files of a key that no run has: of a call that was killed before it recorded them.

    What a clone shows stays.

    Raises:
        ValueError: if they are of a training that can be resumed
    """
    folder = run_folder(dataset, key)
    if runs.can_resume(dataset, key):
        raise ValueError(
            f"{folder!r} holds a training {key!r} of {dataset.name!r} that was interrupted. Choose "
            f"another key, or call delete_run() for it first"
        )
    runs.remove_others(dataset, key)


def _imported(dataset: fo.Dataset, key: str, facts: dict, here: str) -> runs.Run:
    """A run of exported facts, whose files are in a folder."""
    paths = {
        name: os.path.join(here, name)
        for name in (exported.CURVES, exported.WATCH_MAPS, exported.WATCH_STRIP)
        if os.path.isfile(os.path.join(here, name))
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
        checkpoint=os.path.join(here, runs.CHECKPOINT),
        curves=paths.get(exported.CURVES),
        watch=watch,
    )


def _files_of(dataset: fo.Dataset, run: runs.Run) -> list[str]:
    """Paths of the files of a run that there are, and of what is needed to resume its training."""
    watch = run.watch or {}
    named = [run.checkpoint, run.curves, watch.get("maps"), watch.get("strip")]
    homes = (run_folder(dataset, run.key), os.path.dirname(run.checkpoint))
    states = [os.path.join(home, runs.STATE) for home in homes]
    found = [path for path in (*named, *states) if path and os.path.isfile(path)]
    return list({os.path.basename(path): path for path in reversed(found)}.values())


def _moved(run: runs.Run, new: str) -> runs.Run:
    """A run whose files are in another folder."""

    def there(path: str | None) -> str | None:
        return path and os.path.join(new, os.path.basename(path))

    watch = run.watch and {
        name: there(value) if name in ("maps", "strip") else value
        for name, value in run.watch.items()
    }
    return replace(run, checkpoint=there(run.checkpoint), curves=there(run.curves), watch=watch)


def _is_copy(paths: list[str], folder: str) -> bool:
    """Whether a folder holds some of these very files, and nothing else (see `_link_files`)."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    known = {os.path.basename(path): path for path in paths}
    return bool(names) and all(
        name in known and os.path.samefile(known[name], os.path.join(folder, name))
        for name in names
    )


def _link_files(paths: list[str], folder: str) -> None:
    """Files in another folder too; links cost nothing, where there are any."""
    if not paths:
        raise ValueError("The files of the run are gone. Train again with fine_tune()")
    part = f"{os.path.dirname(folder)}{os.sep}.{os.path.basename(folder)}.part"
    shutil.rmtree(part, ignore_errors=True)  # of a renaming that was killed
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
