"""Register an exported run, or weights that were trained elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Sequence
from functools import partial

import fiftyone as fo

from ..arguments import checked
from ..dataset import exported, run_files, run_keys, runs
from ..dataset.fields import root_dataset
from ..dataset.files import run_folder
from ..dataset.imported_weights import facts_of_weights, unpack_weights
from ..dataset.writing import exclusive

Samples = fo.core.collections.SampleCollection


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
    """Register an exported run, or a torchvision checkpoint that was trained elsewhere.

    The result can be used like a run that was trained here. The recipe of an exported run keeps the
    path of its initial weights on the machine where it was trained. The training state is not
    exported, so the training cannot be resumed.

    Args:
        samples: a dataset or view
        folder: the folder that `export_run` wrote; with `weights`, the key may be passed here
        key: key of the run; by default (None), the key that it was exported with
        overwrite: replace an existing run, or an interrupted training, of this key
        weights: instead of `folder`, the path of a file with a state dict, saved by torch.save or
            Lightning; the file is copied
        backbone: backbone of these weights, a name of torchvision such as "resnet18"
        classes: names of the classes, in the order of the logits; by default (None), the labels in
            `label_field` in alphabetical order, as in torchvision's ImageFolder
        label_field: field with the labels of the samples; by default (None), "ground_truth"
        image_size: side of the square input of the network, in pixels; by default (None), that of
            the backbone
        resize: how images were resized in training: "crop" (the default), "squash" or "letterbox"

    Returns:
        the `Run`

    Raises:
        FileNotFoundError: if the folder, one of its files, or the weights file does not exist
        ValueError: if the folder is not an exported run, is damaged or has another version, the key
            exists, or the weights do not fit the backbone or the number of classes
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
    run_keys.check_key(dataset, key, overwrite)
    home = run_folder(dataset, key)
    if not overwrite:
        run_files.make_room(dataset, key)
    replaced = runs.paths_of(dataset, key)
    target = os.path.join(home, uuid.uuid4().hex[:8]) if os.path.isdir(home) else home
    part = f"{os.path.dirname(home)}{os.sep}.{key}.part"
    shutil.rmtree(part, ignore_errors=True)  # from an import that was killed
    try:
        unpack(facts, part)
        os.rename(part, target)
        run = runs.save_run(dataset, _imported(dataset, key, facts, target))
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(Exception):  # if the database fails, the next call cleans up
            run_files.remove_others(dataset, key)
        raise
    run_files.remove_others(dataset, key, replaced, keep_state=False)
    print(f"Imported {run} from {source}")
    return run


def _check_source(folder: str | None, weights: str | None, key: str | None, choices: tuple) -> None:
    """Raise an error if arguments for an exported run and for a checkpoint are mixed, or both are
    missing."""
    if weights is None:
        if folder is None:
            raise ValueError(
                "Pass folder= of an exported run, or weights= with the path of a checkpoint"
            )
        if any(choice is not None for choice in choices):
            raise ValueError(
                "backbone, classes, label_field, image_size and resize are only for weights=; an "
                "exported run has its own. Leave them out"
            )
    elif folder is not None:
        raise ValueError("Pass folder= of an exported run or weights=, not both")
    elif key is None:
        raise ValueError("Pass key=, the key of the new run")


def _imported(dataset: fo.Dataset, key: str, facts: dict, here: str) -> runs.Run:
    """Make a run from exported facts and files in a folder."""
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
        checkpoint=os.path.join(here, run_files.CHECKPOINT),
        curves=paths.get(exported.CURVES),
        watch=watch,
    )
