"""Import labelled folders."""

from __future__ import annotations

import os

import fiftyone as fo
from fiftyone.operators import types

from ...dataset.folders import INFO_KEY, check_target
from .forms import refuse
from .verb import Verb


class ImportFolders(Verb):
    """`import_folders` as an operator."""

    verb = "import_folders"
    label = "Import labelled folders"
    icon = "create_new_folder"
    description = "Make a dataset of a folder that holds one folder of images for each class"

    def form(self, ctx, inputs: types.Object) -> None:
        """Folder and name; classes found so far."""
        inputs.str(
            "path",
            required=True,
            label="Folder",
            description="Path of a folder that holds one folder of images for each class, or "
            "train/val/test folders of them",
        )
        path = os.path.expanduser(ctx.params.get("path") or "")
        if path and not os.path.isdir(path):
            refuse(inputs, "no_folder", f"No folder at {path!r}")
        elif path:
            names = sorted(
                e.name for e in os.scandir(path) if e.is_dir() and not e.name.startswith(".")
            )
            shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" * (len(names) > 12))
            if names:
                inputs.view("found", types.Notice(label=f"Folders in it: {shown}"))
            else:
                refuse(inputs, "no_classes", f"{path!r} holds no folders of images")
        default = os.path.basename(os.path.abspath(path)) if path else ""
        inputs.str("name", label="Dataset name", description=f"Default: {default or 'the folder'}")
        if os.path.isdir(path):
            try:
                check_target(
                    ctx.params.get("name") or default,
                    os.path.abspath(path),
                    ctx.params.get("label_field") or "ground_truth",
                    bool(ctx.params.get("overwrite")),
                )
            except ValueError as error:
                refuse(inputs, "taken_name", str(error))
        inputs.str("label_field", default="ground_truth", label="Field for the classes")
        inputs.bool(
            "overwrite",
            default=False,
            label="Replace a dataset of this name",
            description="Otherwise only new images are added to it",
        )

    def arguments(self, ctx) -> dict:
        """As filled in."""
        params = ctx.params
        return {
            "path": params["path"],
            "name": params.get("name") or None,
            "label_field": params.get("label_field") or "ground_truth",
            "overwrite": bool(params.get("overwrite")),
        }

    def job_label(self, given: dict) -> str:
        """Names the folder."""
        return f"Import {os.path.basename(os.path.abspath(given['path'])) or given['path']!r}"

    def target(self, given: dict) -> str:
        """The dataset that the images go into."""
        name = given.get("name") or os.path.basename(os.path.abspath(given["path"]))
        return f"import {fo.config.database_name} {name}"

    def outcome(self, result, given: dict) -> dict:
        """How many there are, and how many were left out."""
        reasons = result.info[INFO_KEY]["skipped"]
        left_out = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        summary = f"{result.name}: {len(result)} images"
        if left_out:
            summary += f"; files left out: {left_out}"
        return {"summary": summary, "dataset": result.name}
