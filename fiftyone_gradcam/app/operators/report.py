"""The operator that writes a report as an HTML file."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.runs import list_runs
from .forms import AUTOMATIC, choice_input
from .labels import LABELS
from .path_fields import output_file_input, output_file_of
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
        output_file_input(ctx, inputs, "out", ENDING, ENDINGS)
        if keys := list_runs(ctx.dataset):
            choices = {AUTOMATIC: "The newest with predictions"} | {key: key for key in keys}
            choice_input(inputs, "run", choices, AUTOMATIC, LABELS["run"])

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        run = ctx.params.get("run")
        return {
            "samples": ctx.target_view(),
            "out": output_file_of(ctx, "out", ENDING),
            "run": None if run in (None, "", AUTOMATIC) else run,
            "overwrite": bool(ctx.params.get("overwrite")),
        }

    def outcome(self, result, given: dict) -> dict:
        """Show the path of the file."""
        return {"summary": f"Report written to {result}", "changed": False, "place": result}
