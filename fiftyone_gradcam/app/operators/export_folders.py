"""The operator that exports labeled folders."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.splits import count_split
from ...workflow.exporting_folders import LIST, folder_counts, written_words
from .forms import choice_input, notice, refuse
from .labels import LABELS
from .path_fields import output_folder_input, output_folder_of
from .sample_fields import SELECTED, chosen_label_field, excluded_input, label_field_input
from .verb import Verb

HOW = {
    "copy": "Copied",
    "link": "Linked",
    "list": "Only listed, in a table of moves",
}
ENDING = "folders"  # of the default name


class ExportFolders(Verb):
    """`export_folders` as an operator."""

    verb = "export_folders"
    label = "Export labeled folders"
    action = "Export"
    icon = "folder_copy"
    scope = SELECTED
    rests_on_labels = True
    description = "Write images into a folder for each class, after labels were corrected"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add a list of the folders, and fields for the label field, the folder, the splits, and
        the way to export."""
        name = label_field_input(ctx, inputs, is_rare=True)
        if name is None:
            return
        samples, total = ctx.target_view(), ctx.dataset.count()
        params = ctx.params
        all_of_it = bool(params.get("include_excluded"))
        counts = folder_counts(samples, name, params.get("split_folders"), all_of_it)
        if counts:
            notice(inputs, "preview", f"Will be written: {written_words(counts, total)}")
        else:
            refuse(inputs, "no_samples", "There are no samples here to export")
        if count_split(samples):
            words = "Class folders are in folders of their split. Otherwise all are side by side"
            inputs.bool(
                "split_folders", default=True, label=LABELS["split_folders"], description=words
            )
        holds_images = params.get("how") != "list"
        output_folder_input(ctx, inputs, "Folders of images", ENDING, holds_images)
        choice_input(inputs, "how", HOW, "copy", LABELS["how"])
        excluded_input(ctx, inputs)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        params = ctx.params
        return {
            "samples": ctx.target_view(),
            "folder": output_folder_of(ctx, ENDING),
            "label_field": chosen_label_field(ctx),
            "how": params.get("how") or "copy",
            "split_folders": params.get("split_folders"),
            "include_excluded": bool(params.get("include_excluded")),
            "overwrite": bool(params.get("overwrite")),
        }

    def outcome(self, result, given: dict) -> dict:
        """Show the path of the folders, and what is in them."""
        names = ("samples", "label_field", "split_folders", "include_excluded")
        counts = folder_counts(**{name: given[name] for name in names if name in given})
        words = f"Wrote to {result}: {written_words(counts)}"
        if given.get("how") == "list":
            words = f"Wrote {result}/{LIST}: {written_words(counts)} would be written"
        return {"summary": words, "changed": False, "place": result}
