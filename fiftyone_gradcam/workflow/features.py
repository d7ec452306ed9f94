"""Features of images by a pretrained network, and which network is at hand."""

from __future__ import annotations

import os

import fiftyone as fo
import numpy as np
import torch

from ..dataset.runs import list_runs
from ..images.batches import Images
from ..model.backbones import get_backbone
from ..model.learner import pick_device
from ..model.recipe import Recipe
from ..model.weights import create_model, imagenet_weights_file, load_weights
from .progress import Report

PREFERRED_FEATURES = ("mobilenet_v2", "resnet50", "resnet18", "squeezenet1_1")


def pick_backbone(
    dataset: fo.Dataset, backbone: str | None, weights: str | None
) -> tuple[str, str]:
    """What the user chose, or the best that can be had without asking: see find_label_issues."""
    if backbone is not None:
        has_weights = get_backbone(backbone).has_imagenet_weights
        return backbone, weights or ("imagenet" if has_weights else "none")
    if weights not in (None, "imagenet", "none"):
        raise ValueError(f"Say which backbone the weights in {weights!r} are for")
    if weights == "none":
        return "small_cnn", "none"
    for key in reversed(list_runs(dataset)) if weights is None else ():
        recipe = dataset.get_run_info(key).config.recipe
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
            f"No pretrained weights at hand ({error.__cause__}): training small_cnn from scratch "
            f"once per fold. With backbone= and weights= (a file) results are better"
        )
        return "small_cnn", "none"
    return PREFERRED_FEATURES[0], "imagenet"


def frozen_features(
    images: Images, recipe: Recipe, device: str | None, report: Report
) -> np.ndarray:
    """Pooled features (N, C) of the pretrained backbone; rows of undecodable images are NaN."""
    backbone = get_backbone(recipe.backbone)
    device = pick_device(device)
    model = create_model(recipe.backbone, 2, recipe.weights).eval()
    model = model.to(device, memory_format=torch.channels_last)
    features: np.ndarray | None = None
    for batch in images.batches(recipe.batch_size):
        with torch.no_grad():
            target, _ = backbone.split(model, backbone.normalize(batch.images.to(device)))
        found = target.mean((2, 3))
        if features is None:
            features = np.full((len(images), found.shape[1]), np.nan, np.float32)
        features[batch.positions] = found.float().cpu().numpy()
        report(int(batch.positions[-1]) + 1, len(images), "Extracting features")
    return np.empty((len(images), 0)) if features is None else features
