"""What is done with runs: export, import, rename, delete."""

from __future__ import annotations

import os

from fiftyone.operators import types

from ...dataset.run_fields import fields_of_run
from ...dataset.runs import list_runs
from .forms import (
    choice_input,
    label_field_input,
    new_key_check,
    refuse,
    tell,
    weights_file_input,
)
from .heatmaps import folder_input
from .recipe_fields import RESIZES
from .verb import Verb


def run_input(ctx, inputs: types.Object, name: str) -> str | None:
    """Let the user choose a run; returns the choice, None if there is none."""
    keys = list_runs(ctx.dataset)
    if not keys:
        refuse(inputs, "no_runs", "There are no runs yet. Fine-tune a classifier first")
        return None
    choice_input(inputs, name, {key: key for key in keys}, keys[-1], "Run")
    return ctx.params.get(name) or keys[-1]


_SOURCES = {
    "folder": "A run that was exported",
    "weights": "Weights of a torchvision network, trained elsewhere",
}


class ExportRun(Verb):
    """`export_run` as an operator."""

    verb = "export_run"
    label = "Export a run"
    icon = "file_download"
    description = "Write a trained classifier into a folder that can be taken elsewhere"
    is_long = False
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Run and folder."""
        if run_input(ctx, inputs, "run") is not None:
            folder_input(ctx, inputs, "run")

    def arguments(self, ctx) -> dict:
        """As filled in."""
        return {
            "samples": ctx.dataset,
            "run": ctx.params["run"],
            "folder": ctx.params["folder"],
            "overwrite": bool(ctx.params.get("overwrite")),
        }

    def outcome(self, result, given: dict) -> dict:
        """Where it is."""
        return {"summary": f"Exported {given['run']!r} to {result}", "changed": False}


class ImportRun(Verb):
    """`import_run` as an operator."""

    verb = "import_run"
    label = "Import a run"
    icon = "file_upload"
    description = "Register a classifier that was exported or trained elsewhere, to predict with it"
    is_long = False
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """What is imported, and its name."""
        choice_input(inputs, "way", _SOURCES, "folder", "What to import")
        if (ctx.params.get("way") or "folder") == "folder":
            self._folder_inputs(ctx, inputs)
        else:
            self._weights_inputs(ctx, inputs)
        new_key_check(ctx, inputs, ctx.params.get("key"))

    def _folder_inputs(self, ctx, inputs: types.Object) -> None:
        inputs.str(
            "folder",
            required=True,
            label="Folder",
            description="As Export wrote it, on the machine that runs the App",
        )
        folder = os.path.expanduser(ctx.params.get("folder") or "")
        if folder and not os.path.isfile(os.path.join(folder, "run.json")):
            refuse(inputs, "no_export", f"{folder!r} is no exported run: it has no run.json")
        inputs.str("key", label="Name of the run", description="Default: the one it had")

    def _weights_inputs(self, ctx, inputs: types.Object) -> None:
        weights_file_input(ctx, inputs)
        inputs.str(
            "backbone",
            required=True,
            label="Backbone",
            description="As torchvision calls it, such as resnet18 or mobilenet_v3_small",
        )
        field = label_field_input(ctx, inputs)
        inputs.str(
            "class_names",
            label="Classes",
            description="Names in the order of the logits, with commas between them. Default: the "
            f"labels of {field!r} in alphabetical order",
        )
        choice_input(inputs, "resize", RESIZES, "crop", "How it was shown images")
        inputs.int("image_size", min=16, label="Image size", description="Default: the usual")
        inputs.str("key", required=True, label="Name of the run")

    def arguments(self, ctx) -> dict:
        """As filled in."""
        given, key = ctx.params, ctx.params.get("key") or None
        if (given.get("way") or "folder") == "folder":
            return {"samples": ctx.dataset, "folder": given["folder"], "key": key}
        names = given.get("class_names")
        classes = [part.strip() for part in names.split(",")] if names else None
        return {
            "samples": ctx.dataset,
            "key": key,
            "weights": given["weights_file"],
            "backbone": given["backbone"],
            "classes": classes,
            "label_field": given.get("label_field") or None,
            "image_size": given.get("image_size") or None,
            "resize": given.get("resize") or "crop",
        }

    def outcome(self, result, given: dict) -> dict:
        """What it is."""
        return {"summary": f"Imported {result}"}


class RenameRun(Verb):
    """`rename_run` as an operator."""

    verb = "rename_run"
    label = "Rename a run"
    icon = "edit"
    description = "Give a trained classifier another name"
    is_long = False
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Run and name."""
        if run_input(ctx, inputs, "key") is None:
            return
        inputs.str("new_key", required=True, label="New name")
        new_key_check(ctx, inputs, ctx.params.get("new_key"))

    def arguments(self, ctx) -> dict:
        """As filled in."""
        names = {name: ctx.params[name] for name in ("key", "new_key")}
        return {"samples": ctx.dataset, **names}

    def outcome(self, result, given: dict) -> dict:
        """Both names."""
        return {"summary": f"Renamed {given['key']!r} to {given['new_key']!r}"}


class DeleteRun(Verb):
    """`delete_run` as an operator."""

    verb = "delete_run"
    label = "Delete a run"
    icon = "delete"
    description = "Delete a trained classifier, and the fields that it wrote"
    is_long = False
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Run, and whether its fields go too; says what will be gone."""
        key = run_input(ctx, inputs, "key")
        if key is None:
            return
        names = fields_of_run(ctx.dataset, key)
        gone = f"The weights, curves and record of {key!r}"
        if names:
            inputs.bool("fields", default=True, label=f"Delete its fields too: {', '.join(names)}")
            if ctx.params.get("fields", True):
                gone += ", its predictions and its heatmaps"
        tell(inputs, "gone", f"{gone} will be deleted for good", types.Warning)

    def arguments(self, ctx) -> dict:
        """As filled in."""
        fields = bool(ctx.params.get("fields", True))
        return {"samples": ctx.dataset, "key": ctx.params["key"], "fields": fields}

    def outcome(self, result, given: dict) -> dict:
        """What was deleted."""
        return {"summary": f"Deleted {given['key']!r}", "gone": result}
