"""Pretrained networks: which one is at hand, and with which weights."""

from __future__ import annotations

import os

import fiftyone as fo

from ..model.backbones import get_backbone
from ..model.weights import imagenet_weights_file, load_weights
from .runs import list_runs, load_run

PREFERRED_FEATURES = ("mobilenet_v2", "resnet50", "resnet18", "squeezenet1_1")


def pick_backbone(
    dataset: fo.Dataset, backbone: str | None, weights: str | None, without: str
) -> tuple[str, str]:
    """What the user chose, or the best that can be had without asking: see find_label_issues.

    Args:
        dataset: whose runs may know of weights
        backbone, weights: as the user chose; None where he did not
        without: what is done without pretrained weights, in words
    """
    if backbone is not None:
        has_weights = get_backbone(backbone).has_imagenet_weights
        return backbone, weights or ("imagenet" if has_weights else "none")
    if weights not in (None, "imagenet", "none"):
        raise ValueError(f"Say which backbone the weights in {weights!r} are for")
    if weights == "none":
        return "small_cnn", "none"
    for key in reversed(list_runs(dataset)) if weights is None else ():
        try:
            recipe = load_run(dataset, key).recipe
        except ValueError:  # a damaged record says nothing of weights
            continue
        if os.path.isfile(recipe["weights"]):  # the pretrained weights, which know no labels here
            print(f"Using {recipe['backbone']} with the weights that run {key!r} began with")
            return recipe["backbone"], recipe["weights"]
    for name in PREFERRED_FEATURES:
        if os.path.exists(imagenet_weights_file(name)):
            return name, "imagenet"
    try:
        load_weights(PREFERRED_FEATURES[0], "imagenet")
    except ConnectionError as error:
        if weights == "imagenet":
            raise
        print(
            f"No pretrained weights at hand ({error.__cause__}): {without}. With backbone= and "
            f"weights= (a file) results are better"
        )
        return "small_cnn", "none"
    return PREFERRED_FEATURES[0], "imagenet"
