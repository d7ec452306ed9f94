"""Export a run into a folder that can be copied to another machine."""

from __future__ import annotations

import os
import shutil
import uuid

import fiftyone as fo

from ..arguments import checked
from ..dataset import exported, runs
from ..dataset.fields import root_dataset
from ..dataset.run import Pretrained
from ..dataset.writing import export_lock, patience
from ..locks import locked

Samples = fo.core.collections.SampleCollection


@checked
def export_run(samples: Samples, run: runs.Run | str, folder: str, overwrite: bool = False) -> str:
    """Write a run into a folder that can be copied to another machine.

    The folder contains `weights.pt` (a state dict, for `torch.load(..., weights_only=True)`),
    `run.json` (all facts about the run, how images are resized, and the SHA-256 of the weights),
    and `curves.png`, `watch.npz` and `watch.png` if the run has them. The folder is written
    completely or not at all. Use `import_run` to read it.

    Args:
        samples: a dataset or view
        run: a run or its key
        folder: the folder to write; it must be empty or not exist yet
        overwrite: replace an exported run in the folder

    Returns:
        the absolute path of the folder

    Raises:
        ValueError: if there is no such run, or its checkpoint is damaged
        FileNotFoundError: if the checkpoint of the run does not exist
        FileExistsError, NotADirectoryError: if the folder contains other files, or is a file
    """
    run = runs.load_run(root_dataset(samples), run)
    if isinstance(run, Pretrained):
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
            shutil.rmtree(top, ignore_errors=True)  # including new parent folders
            raise
    print(f"Exported {run} to {folder}")
    return folder


def _check_target(folder: str, overwrite: bool) -> None:
    """Raise an error if the folder contains anything other than an exported run."""
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
