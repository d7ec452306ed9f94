"""The operator that exports labeled folders."""

from __future__ import annotations

from fiftyone.operators import types

from .forms import choice_input
from .labels import LABELS
from .path_fields import output_folder_input, path_of
from .sample_fields import SHOWN, chosen_label_field, label_field_input
from .verb import Verb

HOW = {
    "copy": "Copied",
    "link": "Linked",
    "list": "Only listed, in a table of moves",
}


class ExportFolders(Verb):
    """`export_folders` as an operator."""

    verb = "export_folders"
    label = "Export labeled folders"
    action = "Export"
    icon = "drive_file_move"
    scope = SHOWN
    description = "Write images into a folder for each class, after labels were corrected"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the label field, the folder, and the way to export."""
        if label_field_input(ctx, inputs, is_rare=True) is not None:
            output_folder_input(ctx, inputs, "Folders of images, one for each class,")
            choice_input(inputs, "how", HOW, "copy", LABELS["how"])

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        params = ctx.params
        return {
            "samples": ctx.target_view(),
            "folder": path_of(params["folder"]),
            "label_field": chosen_label_field(ctx),
            "how": params.get("how") or "copy",
            "overwrite": bool(params.get("overwrite")),
        }

    def outcome(self, result, given: dict) -> dict:
        """Show the path of the folders."""
        return {"summary": f"Labeled folders are in {result}", "changed": False}
