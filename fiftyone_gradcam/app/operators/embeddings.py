"""Operators that compute and show embeddings of images."""

from __future__ import annotations

import fiftyone as fo
from fiftyone.operators import types

from ...dataset.embeddings import embedding_fields
from ...dataset.fields import field_info, label_fields, path_in, whole
from ...dataset.runs import list_runs, newest_run
from ...progress import counted
from ...review.layout import METHODS, has_umap
from ..showing import view_as_text
from .backbone_fields import backbone_inputs, chosen_weights
from .forms import AUTOMATIC, choice_input, more, text_input
from .labels import LABELS, label_of
from .predicted_fields import PRETRAINED
from .recipe_fields import RESIZES
from .verb import Verb

FIELD_NAME = "embeddings"
FIELD = "field "  # prefix of the names of fields; keys of runs contain no space
WORDS = {
    "pca": "PCA: two principal components (fast)",
    "tsne": "t-SNE: neighbors stay neighbors (slow above 5,000 images)",
    "umap": "UMAP",
}


def network_inputs(ctx, inputs: types.Object, fields: bool) -> None:
    """Add fields for the network that computes embeddings.

    Args:
        ctx, inputs: the form
        fields: whether to offer existing fields of vectors too
    """
    keys = list_runs(ctx.dataset)
    choices = {key: f"Run {key}" for key in keys}
    choices[PRETRAINED] = "A pretrained network"
    if fields:
        choices |= {FIELD + name: f"The field {name}" for name in embedding_fields(ctx.dataset)}
    default = newest_run(ctx.dataset) or PRETRAINED
    choice_input(inputs, "run", choices, default, label_of("run", "show_embeddings"))
    if (ctx.params.get("run") or default) == PRETRAINED:
        backbone_inputs(ctx, inputs, "mobilenet_v2", from_scratch=False)
        if more(ctx, inputs):
            choices = {AUTOMATIC: "Automatic: crop", **RESIZES}
            choice_input(inputs, "resize", choices, AUTOMATIC, LABELS["resize"])


def chosen_network(ctx) -> dict:
    """Return the verb's arguments for the network, or for the field of embeddings."""
    run = ctx.params["run"]
    if run.startswith(FIELD):
        return {"embeddings": run.removeprefix(FIELD)}
    if run != PRETRAINED:
        return {"run_or_backbone": run}
    backbone, resize = ctx.params["backbone"], ctx.params.get("resize")
    chosen = {"run_or_backbone": backbone, "weights": chosen_weights(ctx, backbone)}
    return chosen if resize in (None, AUTOMATIC) else chosen | {"resize": resize}


def color_field(dataset: fo.Dataset) -> str | None:
    """Return the field of the labels that images are colored by; None if there is none."""
    names = label_fields(dataset)
    own = [name for name in names if not field_info(dataset, name)] or names
    name = "ground_truth" if "ground_truth" in own else own[0] if own else None
    return name and path_in(dataset, name)


class ShowEmbeddings(Verb):
    """`show_embeddings` as an operator."""

    verb = "show_embeddings"
    label = "Show embeddings"
    icon = "bubble_chart"
    action = "Show"
    description = "See the images as a network does: similar ones near each other"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the network and for the layout method."""
        network_inputs(ctx, inputs, fields=True)
        methods = {name: WORDS[name] for name in METHODS if name != "umap" or has_umap()}
        methods = {AUTOMATIC: "Automatic: by the number of images", **methods}
        choice_input(inputs, "method", methods, AUTOMATIC, label_of("method", self.verb))

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        method = ctx.params.get("method")
        chosen = {} if method in (None, AUTOMATIC) else {"method": method}
        return {"samples": ctx.target_view(), **chosen_network(ctx), **chosen}

    def outcome(self, result, given: dict) -> dict:
        """Open the Embeddings panel, with the images colored by `color_field`."""
        dataset = given["samples"]._root_dataset
        return {
            # Instead of the view that is open: the panel would show its images alone.
            "view": view_as_text(whole(given["samples"]).view()),
            "summary": f"{counted(result.index_size, 'image')} laid out: open {result.key!r} in "
            f"the Embeddings panel. Images among those of another class may have wrong labels",
            "panel": {
                "name": "Embeddings",
                "data": {"openKey": result.key, "colorField": color_field(dataset)},
            },
        }


class ComputeEmbeddings(Verb):
    """`compute_embeddings` as an operator."""

    verb = "compute_embeddings"
    label = "Compute embeddings"
    icon = "scatter_plot"
    action = "Compute"
    description = "Store what a network sees in each image, as a field of vectors"
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the network and for the name of the embeddings field."""
        network_inputs(ctx, inputs, fields=False)
        text_input(ctx, inputs, "field", LABELS["field"], FIELD_NAME)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        return {
            "samples": ctx.target_view(),
            **chosen_network(ctx),
            "field": ctx.params.get("field") or FIELD_NAME,
        }

    def outcome(self, result, given: dict) -> dict:
        """Show the number of embeddings."""
        count, width = result.shape
        return {"summary": f"{count} embeddings of {width} numbers are in {given['field']!r}"}
