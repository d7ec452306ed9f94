"""Form fields for files and folders, which users can browse for or type."""

from __future__ import annotations

import os

from fiftyone.operators import types

from ...dataset.apart import check_apart
from .forms import refuse, wait_for
from .labels import label_of


def path_input(
    ctx,
    inputs: types.Object,
    name: str,
    label: str = "",
    description: str = "",
    is_folder: bool = True,
    required: bool = True,
) -> str:
    """Add a field for a file or folder on the machine that runs the App.

    The path can be typed too. If the request contains it as a string, a text field is shown.

    Args:
        ctx, inputs: the form
        name: the name of the parameter
        label: the label; by default (""), that of the parameter
        description: an explanation, if the label is not sufficient
        is_folder: whether a folder is expected, rather than a file
        required: whether the form cannot be submitted without the path

    Returns:
        the path, with "~" expanded; "" if there is none yet
    """
    own = {"label": label or label_of(name), "description": description}
    if isinstance(ctx.params.get(name), str):
        inputs.str(name, **own)
    else:
        kind = "folder" if is_folder else "file"
        view = types.FileExplorerView(
            choose_dir=is_folder, button_label=f"Choose a {kind}", choose_button_label="Choose"
        )
        inputs.file(name, view=view, **own)
    path = os.path.expanduser(path_of(ctx.params.get(name)))
    if required and not path:
        wait_for(inputs, f"no_{name}", f"{own['label']} is missing")
    return path


def path_of(value: object) -> str:
    """Return the path in a value of the file explorer or a request; "" if there is none."""
    if isinstance(value, dict):
        value = value.get("absolute_path")
    return (value or "").strip()


def output_folder_input(ctx, inputs: types.Object, what: str, holds_images: bool = True) -> None:
    """Add a field for a folder to write to.

    Args:
        ctx, inputs: the form
        what: what is written, in words
        holds_images: whether images are written, which must not be mixed with the dataset's own
    """
    words = f"{what} are written here. A folder that is not there is created"
    folder = path_input(ctx, inputs, "folder", description=words)
    if folder and holds_images:
        try:
            check_apart(ctx.dataset, folder)
        except ValueError as error:
            refuse(inputs, "not_apart", str(error))
            return
    if folder and os.path.isdir(folder) and os.listdir(folder):
        words = "Files of the same names in this folder"
        label = label_of("overwrite")
        inputs.bool("overwrite", default=False, label=label, description=words)
        if not ctx.params.get("overwrite"):
            refuse(inputs, "not_empty", "This folder is not empty. Choose another or check the box")
    elif folder and os.path.exists(folder) and not os.path.isdir(folder):
        refuse(inputs, "no_folder", f"{folder!r} is a file")
