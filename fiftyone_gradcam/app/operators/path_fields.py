"""Form fields for files and folders, which users can browse for or type."""

from __future__ import annotations

import os

from fiftyone.operators import types

from ...dataset.apart import check_apart
from .forms import notice, refuse, wait_for
from .labels import label_of

MOST_NAMES = 6  # maximum number of folders that a path may go on to


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
    if path and not os.path.isabs(path) and os.environ.get("FIFTYONE_SERVER"):
        # The App's server has a working folder that means nothing to the user.
        words = f"{own['label']}: type the whole path, which begins with / or ~, not {path!r}"
        refuse(inputs, f"relative_{name}", words)
        return ""
    if required and not path:
        wait_for(inputs, f"no_{name}", f"{own['label']} is missing")
    return path


def is_being_typed(inputs: types.Object, path: str) -> bool:
    """Return whether the path of a folder may go on: the form waits, and names what is there."""
    folder, start = os.path.split(path)
    if os.path.isdir(path):
        if folder == path:  # the root of the file system, with which every path begins
            wait_for(inputs, "goes_on", "Choose the folder with the images")
        return folder == path
    try:
        found = [x.name for x in os.scandir(folder) if x.is_dir()]
    except OSError:
        return False
    names = sorted(name for name in found if name.startswith(start))
    if names:
        shown = ", ".join(names[:MOST_NAMES]) + (" …" if len(names) > MOST_NAMES else "")
        notice(inputs, "names", f"In {folder}: {shown}")
        wait_for(inputs, "goes_on", f"There is no folder {path!r}")
    return bool(names)


def path_of(value: object) -> str:
    """Return the path in a value of the file explorer or a request; "" if there is none."""
    if isinstance(value, dict):
        value = value.get("absolute_path")
    return (value or "").strip()


def default_output(ctx, ending: str) -> str:
    """Return a path in the home folder, named after the dataset.

    Args:
        ctx: the context of the form
        ending: the end of the name, such as "report.html"
    """
    name, ending = _safe(ctx.dataset.name, "-_"), _safe(ending, "-_.")
    return os.path.join(os.path.expanduser("~"), f"{name}-{ending}")


def _safe(name: str, marks: str) -> str:
    return "".join(x if x.isalnum() or x in marks else "-" for x in name)[:80]


def output_folder_input(
    ctx, inputs: types.Object, what: str, ending: str, holds_images: bool = True
) -> None:
    """Add a field for a folder to write to; see `output_folder_of`.

    Args:
        ctx, inputs: the form
        what: what is written, in words
        ending: the end of the default folder's name
        holds_images: whether images are written, which must not be mixed with the dataset's own
    """
    default = default_output(ctx, ending)
    words = f"{what} are written here. If it stays empty: {default}"
    folder = path_input(ctx, inputs, "folder", description=words, required=False) or default
    if holds_images:
        try:
            check_apart(ctx.dataset, folder)
        except ValueError as error:
            refuse(inputs, "not_apart", str(error))
            return
    if os.path.isdir(folder) and os.listdir(folder):
        words = f"Files of the same names in {folder!r}"
        label = label_of("overwrite")
        inputs.bool("overwrite", default=False, label=label, description=words)
        if not ctx.params.get("overwrite"):
            words = f"{folder!r} is not empty. Choose another folder or check the box"
            refuse(inputs, "not_empty", words)
    elif os.path.exists(folder) and not os.path.isdir(folder):
        refuse(inputs, "no_folder", f"{folder!r} is a file")


def output_file_input(
    ctx, inputs: types.Object, name: str, ending: str, endings: tuple[str, ...] = ()
) -> None:
    """Add a field for a file to write to; see `output_file_of`.

    Args:
        ctx, inputs: the form
        name: the name of the field
        ending: the end of the default file's name
        endings: which ends of names are accepted; any if empty
    """
    default = default_output(ctx, ending)
    words = f"If it stays empty: {default}"
    path = path_input(ctx, inputs, name, "", words, is_folder=False, required=False) or default
    if os.path.isdir(path):
        refuse(inputs, "folder", f"{path!r} is a folder. Name a file in it")
    elif endings and not path.lower().endswith(endings):
        words = f"must end in {endings[0]}, not {os.path.basename(path)!r}"
        refuse(inputs, "ending", f"{label_of(name)} {words}")
    elif os.path.exists(path):
        inputs.bool("overwrite", default=False, label=label_of("overwrite"))
        if not ctx.params.get("overwrite"):
            refuse(inputs, "exists", f"{path!r} exists. Choose another name or check the box")


def output_file_of(ctx, name: str, ending: str) -> str:
    """Return the file of `output_file_input`."""
    return path_of(ctx.params.get(name)) or default_output(ctx, ending)


def output_folder_of(ctx, ending: str) -> str:
    """Return the folder of `output_folder_input`."""
    return path_of(ctx.params.get("folder")) or default_output(ctx, ending)
