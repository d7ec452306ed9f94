"""Operators that review labels in bulk, and undo and export decisions."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.fields import label_fields
from ...dataset.review_queue import sure_ids
from ...dataset.review_state import classes_of, columns_of, default_label_field
from ...progress import counted
from .contact_sheet import SHEET_PICTURES, contact_sheet
from .forms import choice_input, notice, refuse, search_input, text_input, wait_for
from .labels import LABELS, label_of
from .path_fields import output_file_input, output_file_of
from .sample_fields import selected_ids
from .verb import Verb

WORDS = {
    "accept": "Accept the suggested class",
    "relabel": "Set the label",
    "keep": "Keep the label: it is right",
    "unclear": "Unclear: leave it out of training",
    "exclude": "Exclude it from training (deletes nothing)",
}
NONE_SURE = "No label here is almost certainly wrong. Review labels one by one in the tab Review"
NOT_CHECKED = "Labels have not been checked yet. Find label issues first"
REVIEWS = "reviews.csv"  # the end of the default name


class Review(Verb):
    """`review` as an operator, for the samples that are selected in the grid."""

    verb = "review"
    label = "Review labels"
    action = "Apply"
    scope = None
    icon = "fact_check"
    description = "Correct, confirm or exclude the labels of the selected samples"
    is_long = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the decision, and for the new class if there is one."""
        if not label_fields(ctx.dataset):
            refuse(inputs, "no_labels", "There are no labels here. Import labeled folders first")
            return
        if not selected_ids(ctx):
            refuse(inputs, "none_selected", "Select samples in the grid first")
            return
        columns = columns_of(ctx.dataset, default_label_field(ctx.dataset))
        count = len(selected_ids(ctx))
        notice(inputs, "count", f"{count} selected samples, labels in {columns.label_field!r}")
        words = WORDS if columns.suggestion else {k: v for k, v in WORDS.items() if k != "accept"}
        choice_input(inputs, "decision", words, None, LABELS["decision"])
        if not ctx.params.get("decision"):
            wait_for(inputs, "no_decision", "Choose a decision")
        if ctx.params.get("decision") == "relabel":
            names = {name: name for name in classes_of(ctx.dataset, columns.label_field)}
            search_input(inputs, "label", names, None, LABELS["label"])
            text_input(ctx, inputs, "new_class", "Or a new class")
            if not (ctx.params.get("label") or ctx.params.get("new_class")):
                wait_for(inputs, "no_class", "Choose the class, or name a new one")

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        params, ids = ctx.params, selected_ids(ctx)
        if not ids:
            raise ValueError("Select samples in the grid first")
        given = {"samples": ctx.dataset.select(ids), "decision": params["decision"]}
        if params["decision"] == "relabel":
            given["label"] = params.get("new_class") or params.get("label") or ""
            given["new_class"] = bool(params.get("new_class"))
        return given | {"source": "App, selection"}

    def outcome(self, result, given: dict) -> dict:
        """Show the numbers of labels reviewed and corrected."""
        corrected = sum(one.is_correction for one in result)
        words = f"{counted(len(result), 'label')} reviewed, {corrected} corrected"
        return {"summary": f"{words}. “Undo review” reverts this", "reviewed": True}


class UndoReview(Verb):
    """`undo_review` as an operator."""

    verb = "undo_review"
    label = "Undo review"
    action = "Undo"
    scope = None
    icon = "undo"
    description = "Undo the last decisions about labels"
    is_long = False
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Add a field for the number of steps to undo."""
        words = "A decision about several labels at once is one step"
        label = label_of("count", self.verb)
        inputs.int("count", default=1, min=1, label=label, description=words)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        return {"samples": ctx.dataset, "count": int(ctx.params.get("count") or 1)}

    def outcome(self, result, given: dict) -> dict:
        """Show the number of decisions that were undone."""
        return {"summary": f"{len(result)} decisions are undone", "reviewed": True}


class AcceptSure(Verb):
    """Accept the suggestions for all labels that are surely wrong, after showing them."""

    verb = "review"
    name = "accept_sure"
    label = "Accept all sure suggestions"
    action = "Accept"
    scope = None
    icon = "done_all"
    description = "Correct all labels that are almost certainly wrong, in one step"
    is_long = False
    has_button = False

    @property
    def config(self):
        """Return the configuration of `review` under another name."""
        config = super().config
        config.name = self.name
        return config

    def form(self, ctx, inputs: types.Object) -> None:
        """Show the number of labels and the images."""
        columns = columns_of(ctx.dataset)
        ids = sure_ids(ctx.dataset, columns)
        if not ids:
            if columns.quality:  # good news, no error
                notice(inputs, "none", NONE_SURE)
                wait_for(inputs, "nothing", "No suggestion is sure enough to accept unseen")
            else:
                refuse(inputs, "none", NOT_CHECKED)
            return
        more = f"; the first {SHEET_PICTURES} are shown" if len(ids) > SHEET_PICTURES else ""
        notice(
            inputs,
            "count",
            f"{counted(len(ids), 'label gets', 'labels get')} the suggested class{more}",
        )
        picture = contact_sheet(ctx.dataset, columns, ids[:SHEET_PICTURES])
        inputs.md(f"![contact sheet]({picture})", name="sheet")
        inputs.bool("sure", default=False, label=f"I have looked: accept all {len(ids)}")
        if not ctx.params.get("sure"):
            wait_for(inputs, "look", "Check the pictures first")

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments, for all labels that are surely wrong at the moment."""
        ids = sure_ids(ctx.dataset, columns_of(ctx.dataset))
        if not ctx.params.get("sure") or not ids:
            raise ValueError("Check the pictures first: sure must be true")
        given = {"samples": ctx.dataset.select(ids), "decision": "accept"}
        return given | {"source": "App, all sure suggestions"}

    def outcome(self, result, given: dict) -> dict:
        """Show the number of labels that were corrected."""
        return {
            "summary": f"{counted(len(result), 'label')} corrected. “Undo review” reverts this "
            "in one step",
            "reviewed": True,
        }


class ExportReviews(Verb):
    """`export_reviews` as an operator."""

    verb = "export_reviews"
    label = "Export reviews"
    action = "Export"
    scope = None
    icon = "table_view"
    description = "Write all decisions about labels to a CSV file"
    is_long = False
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Add a field for the file."""
        output_file_input(ctx, inputs, "csv_path", REVIEWS)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        overwrite = bool(ctx.params.get("overwrite"))
        path = output_file_of(ctx, "csv_path", REVIEWS)
        return {"samples": ctx.dataset, "csv_path": path, "overwrite": overwrite}

    def outcome(self, result, given: dict) -> dict:
        """Show the path of the file."""
        return {"summary": f"Reviews written to {result}", "changed": False, "place": result}
