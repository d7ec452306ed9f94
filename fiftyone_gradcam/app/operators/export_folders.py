"""Export labelled folders."""

from __future__ import annotations

from fiftyone.operators import types

from .forms import choice_input, label_field_input
from .heatmaps import folder_input
from .verb import Verb

HOW = {
    "copy": "copied",
    "link": "linked to",
    "list": "listed alone: a table of moves",
}


class ExportFolders(Verb):
    """`export_folders` as an operator."""

    verb = "export_folders"
    label = "Export labelled folders"
    icon = "drive_file_move"
    description = "Write images into a folder for each class, after labels were corrected"

    def form(self, ctx, inputs: types.Object) -> None:
        """Label field, folder, and how."""
        ctx.target_view()
        label_field_input(ctx, inputs)
        folder_input(ctx, inputs, "corrected")
        choice_input(inputs, "how", HOW, "copy", "Files are")

    def arguments(self, ctx) -> dict:
        """As filled in."""
        params = ctx.params
        return {
            "samples": ctx.target_view(),
            "folder": params["folder"],
            "label_field": params["label_field"],
            "how": params.get("how") or "copy",
            "overwrite": bool(params.get("overwrite")),
        }

    def outcome(self, result, given: dict) -> dict:
        """Where they are."""
        return {"summary": f"Labelled folders are in {result}", "changed": False}
