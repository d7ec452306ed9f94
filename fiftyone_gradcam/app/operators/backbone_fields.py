"""Form fields for networks and their weights."""

from __future__ import annotations

import os

from fiftyone.operators import types

from ...dataset.embeddings import embedding_fields
from ...model.cached_weights import cached_weights
from ...model.facts import FACTS
from ...model.file_shapes import backbone_of_file
from .forms import AUTOMATIC, choice_input, notice, refuse, search_input
from .labels import LABELS
from .path_fields import path_input, path_of

SCRATCH = "small_cnn"  # has no pretrained weights
# Backbones at the top of the list, in the order in which users might try them.
GOOD = {
    "resnet18": "good and fast",
    "mobilenet_v2": "small and fast",
    "resnet50": "better, slower",
    "efficientnet_b0": "small and accurate",
    "convnext_tiny": "most accurate of these, slow",
    "squeezenet1_1": "smallest",
    "googlenet": "small",
    "vgg16": "large and slow",
    SCRATCH: "for small images, trained from scratch",
}


def backbones(from_scratch: bool = True) -> dict[str, str]:
    """Return all backbones with the texts to show for them, recommended ones first.

    Args:
        from_scratch: include the one that has no pretrained weights
    """
    names = [*GOOD, *(name for name in sorted(FACTS) if name not in GOOD)]
    return {name: _shown(name) for name in names if from_scratch or name != SCRATCH}


def _shown(name: str) -> str:
    accuracy, megabytes = FACTS[name].accuracy, FACTS[name].megabytes
    facts = f"{megabytes} MB" if accuracy is None else f"{accuracy}% on ImageNet, {megabytes} MB"
    return f"{name} · {GOOD[name]} ({facts})" if name in GOOD else f"{name} ({facts})"


def backbone_inputs(
    ctx,
    inputs: types.Object,
    default: str,
    automatic: str = "",
    from_scratch: bool = True,
    recipe: dict | None = None,
) -> None:
    """Add fields for a backbone and its weights.

    Args:
        ctx, inputs: the form
        default: the default backbone; may be AUTOMATIC
        automatic: the meaning of AUTOMATIC in words; if "", it is not offered
        from_scratch: whether to offer a network without pretrained weights
        recipe: the "backbone" and "weights" that AUTOMATIC stands for, and the "title" of the
            recipe or run that has them
    """
    choices = {AUTOMATIC: automatic} if automatic else {}
    choices |= backbones(from_scratch)
    search_input(inputs, "backbone", choices, default, LABELS["backbone"])
    backbone = ctx.params.get("backbone") or default
    if backbone == AUTOMATIC and recipe:
        backbone = recipe["backbone"]
    if backbone in FACTS and backbone != SCRATCH:
        _weights_input(ctx, inputs, backbone, from_scratch, recipe)


def _weights_input(
    ctx, inputs: types.Object, backbone: str, from_scratch: bool, recipe: dict | None
) -> None:
    cached = cached_weights(backbone)
    download = "on this machine" if cached else f"downloads {FACTS[backbone].megabytes} MB once"
    sources = {"imagenet": f"ImageNet ({download})", "file": "From a file"}
    if from_scratch:
        sources["none"] = "None: train from scratch"
    first = "imagenet"
    if recipe:
        own = recipe["weights"]
        words = sources.get(own) or (
            f"ImageNet if possible ({download})" if own == "auto" else f"the file {own}"
        )
        first, sources = AUTOMATIC, {AUTOMATIC: f"As in {recipe['title']}: {words}", **sources}
        if own == "imagenet":  # would be listed twice
            del sources["imagenet"]
            sources[AUTOMATIC] = words
    choice_input(inputs, "weights", sources, first, LABELS["weights"])
    if ctx.params.get("weights") == "file":
        weights_file_input(ctx, inputs, backbone)


def weights_file_input(ctx, inputs: types.Object, backbone: str | None) -> None:
    """Add a field for a file of weights, and refuse files that do not hold weights of the backbone.

    Args:
        ctx, inputs: the form
        backbone: the backbone of the weights; None if it is unknown
    """
    path = path_input(ctx, inputs, "weights_file", is_folder=False)
    if not path:
        return
    if os.path.isdir(path):
        return refuse(inputs, "no_weights_file", f"{path!r} is a folder. Choose a file in it")
    if not os.path.isfile(path):
        return refuse(inputs, "no_weights_file", f"There is no file {path!r}")
    if not _may_hold_weights(path):
        words = f"{path!r} is not a weights file: it was not written by torch.save"
        return refuse(inputs, "no_weights_file", words)
    found = backbone_of_file(path)
    if found and backbone and found != backbone:
        words = (
            f"This file holds weights of {found}, not of {backbone}. Choose {found} as the "
            f"network, or another file"
        )
        return refuse(inputs, "other_network", words)
    if found:
        notice(inputs, "found_network", f"Weights of {found}")
    return None


def _may_hold_weights(path: str) -> bool:
    """Return whether a file starts like those of torch.save: a ZIP archive or an old pickle."""
    try:
        with open(path, "rb") as file:
            return file.read(2) in (b"PK", b"\x80\x02")
    except OSError:
        return False


def chosen_weights(ctx, backbone: str) -> str:
    """Return the verb's `weights` argument from the values of the form."""
    if backbone == SCRATCH:
        return "none"
    weights = ctx.params.get("weights") or "imagenet"
    return path_of(ctx.params.get("weights_file")) if weights == "file" else weights


def embeddings_input(ctx, inputs: types.Object) -> str | None:
    """Add a field for what images are compared by: a field of embeddings or a network.

    Returns:
        the chosen field of embeddings; None if a network will compute features
    """
    if names := embedding_fields(ctx.dataset):
        choices = {AUTOMATIC: "Features of a pretrained network"}
        choices |= {name: f"The field {name}" for name in names}
        choice_input(inputs, "embeddings", choices, AUTOMATIC, LABELS["embeddings"])
    return chosen_embeddings(ctx)


def pretrained_inputs(ctx, inputs: types.Object, from_scratch: bool = False) -> None:
    """Add fields for the pretrained network that images are compared by."""
    words = "Automatic: weights that are on this machine, or a small download"
    backbone_inputs(ctx, inputs, AUTOMATIC, words, from_scratch)


def features_inputs(ctx, inputs: types.Object) -> None:
    """Add fields for what finds near duplicates: a network, or a field of embeddings."""
    if embeddings_input(ctx, inputs) is None:
        pretrained_inputs(ctx, inputs)


def chosen_features(ctx) -> dict[str, str]:
    """Return the verb's `embeddings`, or its `backbone` and `weights`; {} for its defaults."""
    field = chosen_embeddings(ctx)
    return {"embeddings": field} if field else chosen_backbone(ctx)


def chosen_backbone(ctx) -> dict[str, str]:
    """Return the verb's `backbone` and `weights` arguments; {} for its defaults."""
    backbone = ctx.params.get("backbone") or AUTOMATIC
    if backbone == AUTOMATIC:
        return {}
    return {"backbone": backbone, "weights": chosen_weights(ctx, backbone)}


def chosen_embeddings(ctx) -> str | None:
    """Return the chosen field of embeddings; None if no field was chosen."""
    field = ctx.params.get("embeddings")
    return None if field in (None, "", AUTOMATIC) else field
