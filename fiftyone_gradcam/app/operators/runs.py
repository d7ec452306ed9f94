"""Operators that export, import, rename and delete runs."""

from __future__ import annotations

import os

from fiftyone.operators import types

from ...dataset.run_fields import fields_of_run
from ...dataset.run_keys import free_key
from ...dataset.runs import list_runs, newest_run
from ...model.file_shapes import backbone_of_file
from .backbone_fields import backbones, weights_file_input
from .forms import (
    choice_input,
    new_key_check,
    notice,
    number_input,
    refuse,
    search_input,
    text_input,
    wait_for,
)
from .labels import LABELS
from .path_fields import output_folder_input, output_folder_of, path_input, path_of
from .recipe_fields import RESIZES
from .sample_fields import chosen_label_field, label_field_input
from .verb import Verb


def run_input(ctx, inputs: types.Object, name: str) -> str | None:
    """Add a field for a run, and return the choice; None if there are no runs."""
    keys = list_runs(ctx.dataset)
    if not keys:
        refuse(inputs, "no_runs", "There are no runs yet. Train a classifier first")
        return None
    default = newest_run(ctx.dataset)
    choice_input(inputs, name, {key: key for key in keys}, default, LABELS["run"])
    return ctx.params.get(name) or default


_SOURCES = {
    "folder": "An exported run",
    "weights": "A weights file of a torchvision network",
}


class _OfRuns(Verb):
    """A verb about runs, which does not depend on the samples that are shown."""

    scope = None
    is_long = False
    has_button = False


class ExportRun(_OfRuns):
    """`export_run` as an operator."""

    verb = "export_run"
    label = "Export run"
    action = "Export"
    icon = "file_download"
    description = "Write a trained classifier into a folder that can be taken elsewhere"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the run and the folder."""
        if (run := run_input(ctx, inputs, "run")) is not None:
            output_folder_input(ctx, inputs, "Weights and record of the run", f"run-{run}", False)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        return {
            "samples": ctx.dataset,
            "run": ctx.params["run"],
            "folder": output_folder_of(ctx, f"run-{ctx.params['run']}"),
            "overwrite": bool(ctx.params.get("overwrite")),
        }

    def outcome(self, result, given: dict) -> dict:
        """Show the path of the exported run."""
        summary = f"Exported {given['run']!r} to {result}"
        return {"summary": summary, "changed": False, "place": result}


class ImportRun(_OfRuns):
    """`import_run` as an operator."""

    verb = "import_run"
    label = "Import run"
    action = "Import"
    icon = "file_upload"
    description = "Load a classifier that was exported or trained elsewhere, to predict with it"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the source and the name of the run."""
        choice_input(inputs, "way", _SOURCES, "folder", "What to import")
        if (ctx.params.get("way") or "folder") == "folder":
            self._folder_inputs(ctx, inputs)
        else:
            self._weights_inputs(ctx, inputs)
        new_key_check(ctx, inputs, ctx.params.get("key"))

    def _folder_inputs(self, ctx, inputs: types.Object) -> None:
        folder = path_input(ctx, inputs, "folder", description="As “Export run” wrote it")
        if folder and not os.path.isfile(os.path.join(folder, "run.json")):
            refuse(inputs, "no_export", f"{folder!r} is not an exported run: it has no run.json")
        text_input(ctx, inputs, "key", LABELS["key"], "the name that it had")

    def _weights_inputs(self, ctx, inputs: types.Object) -> None:
        weights_file_input(ctx, inputs, ctx.params.get("backbone"))
        found = backbone_of_file(path_of(ctx.params.get("weights_file")) or os.devnull)
        search_input(inputs, "backbone", backbones(), found, LABELS["backbone"])
        if not (ctx.params.get("backbone") or found):
            wait_for(inputs, "no_backbone", "Choose the network")
        field = label_field_input(ctx, inputs, is_rare=True)
        text_input(
            ctx,
            inputs,
            "class_names",
            LABELS["classes"],
            f"the classes of {field}, in alphabetical order" if field else "ants, bees",
            "In the order of the network's outputs, separated by commas",
        )
        words = "As the network was trained"
        choice_input(inputs, "resize", RESIZES, "crop", LABELS["resize"], words)
        label, default = LABELS["image_size"], "the network's"
        number_input(inputs, "image_size", label, default, "In pixels", least=16)
        key = free_key(ctx.dataset, ctx.params.get("backbone") or found or "imported")
        text_input(ctx, inputs, "key", LABELS["key"], key)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        given, key = ctx.params, ctx.params.get("key") or None
        if (given.get("way") or "folder") == "folder":
            return {"samples": ctx.dataset, "folder": path_of(given["folder"]), "key": key}
        names = given.get("class_names")
        classes = [part.strip() for part in names.split(",")] if names else None
        return {
            "samples": ctx.dataset,
            "key": key or free_key(ctx.dataset, given["backbone"]),
            "weights": path_of(given["weights_file"]),
            "backbone": given["backbone"],
            "classes": classes,
            "label_field": chosen_label_field(ctx),
            "image_size": given.get("image_size") or None,
            "resize": given.get("resize") or "crop",
        }

    def outcome(self, result, given: dict) -> dict:
        """Show the imported run."""
        return {"summary": f"Imported {result}"}


class RenameRun(_OfRuns):
    """`rename_run` as an operator."""

    verb = "rename_run"
    label = "Rename run"
    action = "Rename"
    icon = "edit"
    description = "Give a trained classifier another name"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the run and its new name."""
        if run_input(ctx, inputs, "key") is None:
            return
        text_input(ctx, inputs, "new_key", LABELS["new_key"], required=True)
        new_key_check(ctx, inputs, ctx.params.get("new_key"))

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        names = {name: ctx.params[name] for name in ("key", "new_key")}
        return {"samples": ctx.dataset, **names}

    def outcome(self, result, given: dict) -> dict:
        """Show both names."""
        return {"summary": f"Renamed {given['key']!r} to {given['new_key']!r}"}


class DeleteRun(_OfRuns):
    """`delete_run` as an operator."""

    verb = "delete_run"
    label = "Delete run"
    action = "Delete"
    icon = "delete"
    description = "Delete a trained classifier, and the fields that it wrote"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the run and for deleting its fields, and show what will be deleted."""
        key = run_input(ctx, inputs, "key")
        if key is None:
            return
        names = fields_of_run(ctx.dataset, key)
        gone = f"The weights, curves and record of {key!r}"
        if names:
            inputs.bool("fields", default=True, label=f"{LABELS['fields']}: {', '.join(names)}")
            if ctx.params.get("fields", True):
                gone += ", its predictions and its heatmaps"
        notice(inputs, "gone", f"{gone} will be deleted. This cannot be undone", types.Warning)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        fields = bool(ctx.params.get("fields", True))
        return {"samples": ctx.dataset, "key": ctx.params["key"], "fields": fields}

    def outcome(self, result, given: dict) -> dict:
        """Show what was deleted."""
        return {"summary": f"Deleted {given['key']!r}", "gone": result}
