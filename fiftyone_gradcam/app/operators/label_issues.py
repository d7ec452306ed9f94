"""Find wrong labels."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.fields import root_dataset
from ...dataset.label_totals import in_words, label_issues_info
from ..showing import view_as_text
from .forms import (
    AUTOMATIC,
    FEATURES,
    backbone_inputs,
    choice_input,
    chosen_embeddings,
    chosen_features,
    embeddings_input,
    label_field_input,
    more,
)
from .verb import Verb

METHODS = {
    AUTOMATIC: "Automatic: by features, or by training where there are no pretrained weights",
    "features": "Features of a pretrained network, each image left out in turn",
    "folds": "Features, a logistic regression per fold",
    "fine-tune": "Train the network once per fold: slow; resumes after it was cancelled",
}


class FindLabelIssues(Verb):
    """`find_label_issues` as an operator."""

    verb = "find_label_issues"
    label = "Find label issues"
    icon = "troubleshoot"
    description = "Score each label by a model that never saw its image"

    def form(self, ctx, inputs: types.Object) -> None:
        """Label field, method and backbone; the rest under Advanced."""
        ctx.target_view()
        label_field_input(ctx, inputs)
        embeddings = embeddings_input(ctx, inputs)
        if embeddings is None:
            backbone_inputs(ctx, inputs, AUTOMATIC, FEATURES)
        if not more(ctx, inputs):
            return
        methods = dict(METHODS)
        if embeddings is not None:
            methods.pop("fine-tune")
        choice_input(inputs, "method", methods, AUTOMATIC, "Method", required=False)
        if ctx.params.get("method") == "features":
            return
        inputs.int("folds", default=5, min=2, label="Folds")
        inputs.int(
            "epochs",
            min=1,
            label="Epochs",
            description="Of each training, where networks are trained. Default: 5, or more where "
            "images are few",
        )
        inputs.int("seed", default=0, min=0, label="Seed")

    def arguments(self, ctx) -> dict:
        """As filled in."""
        params = ctx.params
        options = {
            "samples": ctx.target_view(),
            "label_field": params["label_field"],
            "folds": params.get("folds") or 5,
            "seed": params.get("seed") or 0,
        }
        if params.get("method") not in (None, "", AUTOMATIC):
            options["method"] = params["method"]
        if params.get("epochs") and chosen_embeddings(ctx) is None:  # or nothing is trained
            options["epochs"] = params["epochs"]
        return options | chosen_features(ctx)

    def outcome(self, result, given: dict) -> dict:
        """The samples, most suspicious first, and how many labels are wrong."""
        totals = in_words(label_issues_info(root_dataset(result)))
        return {
            "summary": f"{totals}. The most suspicious come first",
            "view": view_as_text(result),
            "fields": ["issue", "suggested_label", "label_quality"],
        }
