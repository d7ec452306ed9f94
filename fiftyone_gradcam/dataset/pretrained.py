"""Choose a pretrained backbone and its weights."""

from __future__ import annotations

import os

import fiftyone as fo

from ..model.backbones import get_backbone
from ..model.weights import DownloadError, imagenet_weights_file, load_weights
from .runs import list_runs, load_run

PREFERRED_FEATURES = ("mobilenet_v2", "resnet50", "resnet18", "squeezenet1_1")


def pick_backbone(
    dataset: fo.Dataset, backbone: str | None, weights: str | None, without: str
) -> tuple[str, str]:
    """Return the backbone and weights that the user chose, or else the best available ones.

    The order of preference is described at `find_label_issues`.

    Args:
        dataset: the dataset, whose runs may name files of weights
        backbone, weights: the user's choice; None if not specified
        without: the consequence of having no pretrained weights, in words, for the message

    Raises:
        ValueError: if weights is a file and backbone is None
        ConnectionError: if weights is "imagenet" and the weights cannot be downloaded
    """
    if backbone is not None:
        has_weights = get_backbone(backbone).has_imagenet_weights
        return backbone, weights or ("imagenet" if has_weights else "none")
    if weights not in (None, "imagenet", "none"):
        raise ValueError(f"Pass backbone=, the network of the weights in {weights!r}")
    if weights == "none":
        return "small_cnn", "none"
    for key in reversed(list_runs(dataset)) if weights is None else ():
        try:
            recipe = load_run(dataset, key).recipe
        except ValueError:  # the record is damaged
            continue
        if os.path.isfile(recipe["weights"]):  # pretrained weights, not trained on labels here
            print(f"Using {recipe['backbone']} with the pretrained weights of run {key!r}")
            return recipe["backbone"], recipe["weights"]
    if (name := cached_backbone()) is not None:
        return name, "imagenet"
    try:
        load_weights(PREFERRED_FEATURES[0], "imagenet")
    except DownloadError as error:
        if weights == "imagenet":
            raise
        print(
            f"No pretrained weights are available ({error.reason}): {without}. Pass backbone= "
            f"and weights= (a file) for better results"
        )
        return "small_cnn", "none"
    return PREFERRED_FEATURES[0], "imagenet"


def cached_backbone() -> str | None:
    """Return the first of the preferred backbones whose ImageNet weights are on this machine."""
    there = (x for x in PREFERRED_FEATURES if os.path.exists(imagenet_weights_file(x)))
    return next(there, None)
