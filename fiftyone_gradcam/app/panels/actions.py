"""Buttons for all forms of the plugin, by step; FiftyOne hides some of those above the grid."""

from __future__ import annotations

from collections.abc import Callable

from fiftyone.operators import types

from ..operators import OPERATORS
from ..operators.verb import Verb
from .choices import row_of

# A test checks that each operator with a form is in exactly one step.
BY_STEP = {
    "Import": ("import_folders", "relocate"),
    "Split": ("split", "find_leaks"),
    "Train": (
        *("fine_tune", "preview_augmentation", "find_learning_rate", "sanity_check"),
        *("import_run", "rename_run", "export_run", "delete_run"),
    ),
    "Predict": ("predict", "mean_heatmaps", "export_overlays", "explanation_quality"),
    "Review": (
        *("find_label_issues", "review", "accept_sure", "undo_review", "mistakes"),
        *("lowest_scores", "highest_scores", "save_views", "show_embeddings"),
        *("compute_embeddings", "find_anomalies"),
    ),
    "Retrain": ("retrain", "compare_runs", "evaluate"),
    "Export": ("export_folders", "export_reviews", "report"),
}
STEP_OF = {verb: step for step, verbs in BY_STEP.items() for verb in verbs}
LABELS = {
    operator().config.name: operator.label for operator in OPERATORS if issubclass(operator, Verb)
}


def draw_actions(panel: types.Object, on_action: Callable) -> None:
    """Draw a button for each form, by step.

    Args:
        panel: the panel
        on_action: handles a click, with the parameter "verb"; a button that opens a form by itself
            passes the form its own name as the parameter "path"
    """
    steps = BY_STEP | ({"More": rest} if (rest := _others()) else {})
    for step, verbs in steps.items():
        panel.md(f"**{step}**", name=f"actions_{step}")
        row = row_of(panel, f"actions_of_{step}")
        for verb in verbs:
            row.btn(
                f"action_{verb}",
                label=LABELS[verb],
                on_click=on_action,
                params={"verb": verb},
                variant="outlined",
            )


def _others() -> tuple[str, ...]:
    """Return the verbs that are in no step."""
    known = {verb for verbs in BY_STEP.values() for verb in verbs}
    return tuple(verb for verb in LABELS if verb not in known)
