"""Files and folders in forms: found by browsing, or typed."""

from __future__ import annotations

import os

from fiftyone.operators import types

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
    """Let the user choose a file or folder of the machine that runs the App.

    The path can be typed too. One that a request gives as a text stays a text.

    Args:
        ctx, inputs: the form
        name: of the parameter
        label: None takes that of the parameter
        description: what it is, where the label does not say so
        is_folder: whether a folder is wanted, and no file
        required: whether the form can be sent without it

    Returns:
        the path, "~" expanded; "" if there is none yet
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
    """A path as it was typed, of what the file explorer or a request gave; "" for none."""
    if isinstance(value, dict):
        value = value.get("absolute_path")
    return (value or "").strip()


def output_folder_input(ctx, inputs: types.Object, what: str) -> None:
    """Let the user choose a folder to write to.

    Args:
        ctx, inputs: the form
        what: is written
    """
    words = f"{what} are written here. A folder that is not there is created"
    folder = path_input(ctx, inputs, "folder", description=words)
    if folder and os.path.isdir(folder) and os.listdir(folder):
        words = "Files of the same names in this folder"
        label = label_of("overwrite")
        inputs.bool("overwrite", default=False, label=label, description=words)
        if not ctx.params.get("overwrite"):
            refuse(inputs, "not_empty", "This folder is not empty. Choose another or check the box")
    elif folder and os.path.exists(folder) and not os.path.isdir(folder):
        refuse(inputs, "no_folder", f"{folder!r} is a file")
