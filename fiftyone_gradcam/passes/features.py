"""Features of images by a pretrained network, and which network is at hand."""

from __future__ import annotations

import os
from collections.abc import Callable

import fiftyone as fo
import numpy as np
import torch

from ..dataset.runs import list_runs, load_run
from ..images.batches import Images
from ..model.backbones import get_backbone
from ..model.device import pick_device
from ..model.weights import create_model, imagenet_weights_file, load_weights
from ..progress import Report
from ..review.duplicates import thumbnails
from ..training.recipe import Recipe

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


def frozen_features(
    images: Images, recipe: Recipe, device: str | None, report: Report
) -> np.ndarray:
    """Pooled features (N, C) of the pretrained backbone; rows of undecodable images are NaN."""
    return _read(images, recipe.batch_size, [_pooled(recipe, device)], report)[0]


def appearance_features(
    images: Images, recipe: Recipe, device: str | None, report: Report
) -> list[np.ndarray]:
    """What near duplicates are told by, arrays (N, C): thumbnails, and features of the pretrained
    backbone if there are weights; rows of undecodable images are NaN."""
    readers = [thumbnails]
    if recipe.weights != "none":
        readers.append(_pooled(recipe, device))
    return _read(images, recipe.batch_size, readers, report)


Reader = Callable[[torch.Tensor], np.ndarray]


def _pooled(recipe: Recipe, device: str | None) -> Reader:
    """Makes uint8 images (n, 3, S, S) features (n, C)."""
    backbone = get_backbone(recipe.backbone)
    device = pick_device(device)
    model = create_model(recipe.backbone, 2, recipe.weights).eval()
    model = model.to(device, memory_format=torch.channels_last)

    def read(images: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            target, _ = backbone.split(model, backbone.normalize(images.to(device)))
        return target.mean((2, 3)).float().cpu().numpy()

    return read


def _read(
    images: Images, batch_size: int, readers: list[Reader], report: Report
) -> list[np.ndarray]:
    """What each reader makes of the images, which are decoded once."""
    found: list[np.ndarray | None] = [None] * len(readers)
    for batch in images.batches(batch_size):
        for kind, reader in enumerate(readers):
            rows = reader(batch.images)
            if found[kind] is None:
                found[kind] = np.full((len(images), rows.shape[1]), np.nan, np.float32)
            found[kind][batch.positions] = rows
        report(int(batch.positions[-1]) + 1, len(images), "Extracting features")
    return [np.empty((len(images), 0)) if rows is None else rows for rows in found]
