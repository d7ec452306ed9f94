"""The operator that finds wrong labels."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.fields import path_in, root_dataset
from ...dataset.label_totals import in_words, label_issues_info
from ...progress import counted
from ..showing import view_as_text
from .backbone_fields import (
    chosen_embeddings,
    chosen_features,
    embeddings_input,
    pretrained_inputs,
)
from .forms import AUTOMATIC, choice_input, more, notice, number_input, seed_input
from .labels import LABELS
from .sample_fields import chosen_label_field, label_field_input
from .verb import Verb

METHODS = {
    AUTOMATIC: "Automatic: compare images, or train where there are no pretrained weights",
    "features": "Compare images by features of a pretrained network (fast)",
    "folds": "Logistic regression on features, in folds",
    "fine-tune": "Train the network once for each fold (slow)",
}


class FindLabelIssues(Verb):
    """`find_label_issues` as an operator."""

    verb = "find_label_issues"
    label = "Find label issues"
    action = "Find"
    icon = "troubleshoot"
    description = "Find labels that may be wrong, by a model that never saw the image"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for what images are compared by; the others are behind a switch."""
        name = label_field_input(ctx, inputs, is_rare=True)
        if name is None:
            return
        counts = ctx.target_view().count_values(path_in(ctx.dataset, name))
        counts.pop(None, None)
        classes = f"{len(counts)} class{'es' * (len(counts) != 1)}"
        notice(
            inputs,
            "summary",
            f"{counted(sum(counts.values()), 'label')} in {classes} will be checked",
        )
        embeddings = embeddings_input(ctx, inputs)
        if embeddings is None:
            pretrained_inputs(ctx, inputs, from_scratch=True)
        if not more(ctx, inputs):
            return
        methods = dict(METHODS)
        if embeddings is not None:
            methods.pop("fine-tune")
        choice_input(inputs, "method", methods, AUTOMATIC, LABELS["method"])
        if ctx.params.get("method") == "features":
            return
        inputs.int("folds", default=5, min=2, label=LABELS["folds"])
        words, default = "Of each training, if any", "5, or more if there are few images"
        number_input(inputs, "epochs", LABELS["epochs"], default, words, least=1)
        seed_input(inputs)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        params = ctx.params
        options = {
            "samples": ctx.target_view(),
            "label_field": chosen_label_field(ctx),
            "folds": params.get("folds") or 5,
            "seed": params.get("seed") or 0,
        }
        if params.get("method") not in (None, "", AUTOMATIC):
            options["method"] = params["method"]
        if params.get("epochs") and chosen_embeddings(ctx) is None:  # embeddings need no training
            options["epochs"] = params["epochs"]
        return options | chosen_features(ctx)

    def outcome(self, result, given: dict) -> dict:
        """Show the samples, most suspicious first, and the estimated number of wrong labels."""
        totals = in_words(label_issues_info(root_dataset(result)))
        return {
            "summary": f"{totals}. The most suspicious come first",
            "view": view_as_text(result),
            "fields": ["issue"],
        }
