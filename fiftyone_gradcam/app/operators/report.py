"""The operator that writes a report as an HTML file."""

from __future__ import annotations

import os

from fiftyone.operators import types

from ...dataset.runs import list_runs
from .forms import AUTOMATIC, choice_input, refuse
from .labels import LABELS
from .path_fields import default_output, path_input, path_of
from .verb import Verb

ENDINGS = (".html", ".htm")
ENDING = "report.html"  # of the default name


class Report(Verb):
    """`report` as an operator."""

    verb = "report"
    label = "Write a report"
    action = "Write"
    icon = "description"
    description = "One HTML file about the data, the classifier and the labels, to mail or print"
    is_long = False
    rests_on_labels = True

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the file and the run."""
        default = default_output(ctx, ENDING)
        words = f"If it stays empty: {default}"
        path = path_input(ctx, inputs, "out", "", words, is_folder=False, required=False) or default
        if os.path.isdir(path):
            refuse(inputs, "folder", f"{path!r} is a folder. Name a file in it")
        elif not path.lower().endswith(ENDINGS):
            refuse(inputs, "ending", f"HTML file must end in .html, not {os.path.basename(path)!r}")
        elif os.path.exists(path):
            inputs.bool("overwrite", default=False, label=LABELS["overwrite"])
            if not ctx.params.get("overwrite"):
                refuse(inputs, "exists", f"{path!r} exists. Choose another name or check the box")
        if keys := list_runs(ctx.dataset):
            choices = {AUTOMATIC: "The newest with predictions"} | {key: key for key in keys}
            choice_input(inputs, "run", choices, AUTOMATIC, LABELS["run"])

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        run = ctx.params.get("run")
        return {
            "samples": ctx.target_view(),
            "out": path_of(ctx.params.get("out")) or default_output(ctx, ENDING),
            "run": None if run in (None, "", AUTOMATIC) else run,
            "overwrite": bool(ctx.params.get("overwrite")),
        }

    def outcome(self, result, given: dict) -> dict:
        """Show the path of the file."""
        return {"summary": f"Report written to {result}", "changed": False, "place": result}
