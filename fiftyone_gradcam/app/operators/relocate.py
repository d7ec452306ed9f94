"""Make samples follow files that were moved."""

from __future__ import annotations

from fiftyone.operators import types

from ...workflow.relocating import count_found, likely_folder
from .forms import refuse, tell
from .verb import Verb


class Relocate(Verb):
    """`relocate` as an operator."""

    verb = "relocate"
    label = "Find moved files"
    icon = "drive_file_move"
    description = "Make samples follow their files, after a folder was moved or renamed"
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Both folders, and how many files would be found."""
        inputs.str(
            "old",
            required=True,
            default=None if ctx.params.get("old") else likely_folder(ctx.dataset),
            label="Folder as it was",
            description="As it is in the paths of the samples",
        )
        inputs.str(
            "new",
            required=True,
            label="Folder as it is now",
            description="On the machine that runs the App",
        )
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
        tell(inputs, "found", f"{found} of {of} are in this folder")

    def arguments(self, ctx) -> dict:
        """As filled in."""
        old, new = ((ctx.params.get(name) or "").strip() for name in ("old", "new"))
        return {"samples": ctx.dataset, "old": old, "new": new}

    def outcome(self, result, given: dict) -> dict:
        """How many have followed."""
        count = result.moved + len(result.missing) + len(result.different)
        summary = f"{result.moved} of {count} samples follow to {given['new']}"
        if result.missing:
            summary += f"; {len(result.missing)} files are not there"
        if result.different:
            summary += f"; {len(result.different)} are other files"
        return {"summary": summary}
