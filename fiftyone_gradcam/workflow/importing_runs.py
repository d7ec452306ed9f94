"""Register a run that was exported, or weights that were trained elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Sequence
from functools import partial

import fiftyone as fo

from ..arguments import checked
from ..dataset import exported, run_files, runs
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
        ValueError: if it is not an exported run, or damaged, or of another version, or the key is
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
        run_files.make_room(dataset, key)
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
            run_files.remove_others(dataset, key)
        raise
    run_files.remove_others(dataset, key, replaced, keep_state=False)
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
        checkpoint=os.path.join(here, run_files.CHECKPOINT),
        curves=paths.get(exported.CURVES),
        watch=watch,
    )
