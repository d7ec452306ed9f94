"""The folder of a run: where its files are written, and which of them are deleted."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable

import fiftyone as fo

from . import files
from .fields import root_dataset
from .files import run_folder

CHECKPOINT, STATE = "model.pt", "state.pt"


def can_resume(samples: fo.core.collections.SampleCollection, key: str) -> bool:
    """Return whether an interrupted training has left the state that is needed to resume it."""
    if not key.isidentifier():  # not a valid key; it would become part of a path
        return False
    return os.path.isfile(os.path.join(run_folder(root_dataset(samples), key), STATE))


def checkpoint_path(dataset: fo.Dataset, key: str) -> str:
    """Return the path of the checkpoint of a run that does not replace another."""
    return os.path.join(run_folder(dataset, key), CHECKPOINT)


def new_folder(dataset: fo.Dataset, key: str) -> str:
    """Return a folder for the files of a new run in which no file is overwritten.

    The old run stays valid until the new one is stored, and clones of the dataset may use it still.
    """
    folder = run_folder(dataset, key)
    is_free = not os.path.exists(os.path.join(folder, CHECKPOINT))
    return folder if is_free else os.path.join(folder, uuid.uuid4().hex[:8])


def prepare_folder(dataset: fo.Dataset, key: str) -> None:
    """Store the owner of the folder, and delete files of a killed training except its state."""
    files.claim_folder(dataset)
    remove_others(dataset, key)


def remove_others(
    dataset: fo.Dataset, key: str, replaced: Iterable[str] = (), keep_state: bool = True
) -> None:
    """Delete unused files in the folder of a run: those of a replaced run and of killed processes.

    Args:
        dataset, key: the run, or a training that is not a run yet
        replaced: file paths of the run that was replaced
        keep_state: keep the state that is needed to resume the training
    """
    files.remove_run_files(dataset, key, replaced, [STATE] if keep_state else [])


def make_room(dataset: fo.Dataset, key: str) -> None:
    """Delete the files that a killed call has left under a key that no run has.

    Files that a clone of the dataset uses are kept.

    Raises:
        ValueError: if they belong to a training that can be resumed
    """
    folder = run_folder(dataset, key)
    if can_resume(dataset, key):
        raise ValueError(
            f"{folder!r} holds a training {key!r} of {dataset.name!r} that was interrupted. Choose "
            f"another key, or call delete_run() for it first"
        )
    remove_others(dataset, key)
