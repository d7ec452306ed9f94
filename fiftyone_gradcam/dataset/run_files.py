"""The folder of a run: where its files are written, and what is cleared away there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

import fiftyone as fo

from . import files
from .fields import root_dataset
from .files import run_folder

if TYPE_CHECKING:
    pass

CHECKPOINT, STATE = "model.pt", "state.pt"


def can_resume(samples: fo.core.collections.SampleCollection, key: str) -> bool:
    """Whether a training has left what is needed to resume it."""
    if not key.isidentifier():  # no run is called so, and it is to be part of a path
        return False
    return os.path.isfile(os.path.join(run_folder(root_dataset(samples), key), STATE))


def checkpoint_path(dataset: fo.Dataset, key: str) -> str:
    """Where the checkpoint of a run that replaces none is written."""
    return os.path.join(run_folder(dataset, key), CHECKPOINT)


def new_folder(dataset: fo.Dataset, key: str) -> str:
    """A folder for the files of a new run, where it overwrites none: until the new run is recorded
    the old one is good, and clones of the dataset may still show it."""
    folder = run_folder(dataset, key)
    is_free = not os.path.exists(os.path.join(folder, CHECKPOINT))
    return folder if is_free else os.path.join(folder, uuid.uuid4().hex[:8])


def prepare_folder(dataset: fo.Dataset, key: str) -> None:
    """Note whose the folder of a dataset is, and delete what a killed training of this key left,
    but for its state."""
    files.claim_folder(dataset)
    remove_others(dataset, key)


def remove_others(
    dataset: fo.Dataset, key: str, replaced: Iterable[str] = (), keep_state: bool = True
) -> None:
    """Delete what is in the folder of a run and of no use: files of a run that it replaced, and
    what a process that was killed has left.

    Args:
        dataset, key: of the run, or of a training that is not a run yet
        replaced: paths of the files of the run that it replaced
        keep_state: keep what is needed to resume the training
    """
    files.remove_run_files(dataset, key, replaced, [STATE] if keep_state else [])


def make_room(dataset: fo.Dataset, key: str) -> None:
    """Delete files of a key that no run has: of a call that was killed before it recorded them.

    What a clone shows stays.

    Raises:
        ValueError: if they are of a training that can be resumed
    """
    folder = run_folder(dataset, key)
    if can_resume(dataset, key):
        raise ValueError(
            f"{folder!r} holds a training {key!r} of {dataset.name!r} that was interrupted. Choose "
            f"another key, or call delete_run() for it first"
        )
    remove_others(dataset, key)
