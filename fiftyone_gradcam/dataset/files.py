"""Where a dataset's checkpoints and heatmap files live: outside the plugin folder, which the
App's server hands out over HTTP."""

from __future__ import annotations

import os

import fiftyone as fo

from ..folders.names import inside


def files_folder() -> str:
    """The folder of all that this plugin writes."""
    return os.path.join(os.path.expanduser(fo.config.default_dataset_dir), "fiftyone_gradcam")


def dataset_folder(dataset: fo.Dataset) -> str:
    """The folder of this plugin's files for a dataset; it outlives a change of its name."""
    return os.path.join(files_folder(), str(dataset._doc.id))


def run_folder(dataset: fo.Dataset, key: str) -> str:
    """The folder of a run's checkpoint."""
    return inside(os.path.join(dataset_folder(dataset), "runs"), key)


def heatmap_folder(dataset: fo.Dataset, field: str) -> str:
    """The folder of a heatmap field's files."""
    return inside(os.path.join(dataset_folder(dataset), "heatmaps"), field)


def remove_heatmap_files(dataset: fo.Dataset, paths: list[str | None]) -> None:
    """Delete heatmap files that this plugin wrote; anything else is left alone."""
    home = os.path.join(dataset_folder(dataset), "heatmaps") + os.sep
    for path in paths:
        if path and os.path.abspath(path).startswith(home) and os.path.exists(path):
            os.unlink(path)


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
