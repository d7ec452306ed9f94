"""The operator that updates the paths of files that were moved."""

from __future__ import annotations

from fiftyone.operators import types

from ...workflow.relocating import count_found, likely_folder
from .forms import notice, refuse, wait_for
from .labels import LABELS
from .path_fields import path_input, path_of
from .verb import Verb


class Relocate(Verb):
    """`relocate` as an operator."""

    verb = "relocate"
    label = "Find moved files"
    action = "Update"
    scope = None
    icon = "drive_file_move"
    description = "Update the paths of samples after a folder of images was moved or renamed"
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for both folders, and show how many files would be found."""
        words = "As in the paths of the samples"
        likely = None if ctx.params.get("old") else likely_folder(ctx.dataset)
        inputs.str("old", default=likely, label=LABELS["old"], description=words)
        if not (ctx.params.get("old") or likely):
            wait_for(inputs, "no_old", f"{LABELS['old']} is missing")
        path_input(ctx, inputs, "new")
        given = self.arguments(ctx)
        if not (given["old"] and given["new"]):
            return
        try:
            found, looked_for, count = count_found(**given)
        except (ValueError, OSError) as error:
            refuse(inputs, "not_there", str(error))
            return
        of = f"{looked_for} files" if looked_for == count else f"{looked_for} of {count} files"
        if not found:
            refuse(inputs, "none", f"None of {of} is in this folder")
            return
        notice(inputs, "found", f"{found} of {of} are in this folder")

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        old, new = (path_of(ctx.params.get(name)) for name in ("old", "new"))
        return {"samples": ctx.dataset, "old": old, "new": new}

    def outcome(self, result, given: dict) -> dict:
        """Show the number of samples whose files were found."""
        count = result.moved + len(result.missing) + len(result.different)
        summary = f"{result.moved} of {count} samples now have their files in {given['new']}"
        if result.missing:
            summary += f"; {len(result.missing)} files are not there"
        if result.different:
            summary += f"; {len(result.different)} are other files"
        return {"summary": summary}
