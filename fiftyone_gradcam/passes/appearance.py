"""What the images of a dataset look like, to tell near duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from ..dataset.import_record import decode_options
from ..images.batches import Images
from ..progress import Progress, reporting, tell_failures
from ..training.recipes import make_recipe
from .features import appearance_features, pick_backbone

WITHOUT = "cropped and mirrored copies are not found"


def appearance_of(
    dataset: fo.Dataset,
    paths: Sequence[str],
    backbone: str | None,
    weights: str | None,
    device: str | None,
    progress: Progress,
) -> list[np.ndarray]:
    """Arrays (N, C) that near duplicates are told by (see `features.appearance_features`).

    Args:
        dataset: that the images are of
        paths: their files; what cannot be decoded is told, and has rows of NaN
        backbone, weights, device, progress: see `find_leaks`
    """
    backbone, weights = pick_backbone(dataset, backbone, weights, WITHOUT)
    recipe = make_recipe(backbone=backbone, weights=weights)
    images = Images(
        paths,
        recipe.image_size,
        resize=recipe.resize,
        decode_options=decode_options(dataset),
    )
    by = f"by {backbone}" if weights != "none" else "by thumbnails"
    with reporting(progress, f"Comparing {len(paths)} images {by}") as report:
        looks = appearance_features(images, recipe, device, report)
    tell_failures(images.failures)
    return looks
