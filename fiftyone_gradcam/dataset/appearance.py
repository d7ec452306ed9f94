"""Descriptions of images by which near duplicates are found."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from ..images.batches import Images
from ..progress import Progress, report_failures, reporting
from ..training.frozen import FrozenLater
from ..training.recipes import make_recipe
from .feature_sources import source_of
from .features import pixel_readers, read_features
from .import_record import decode_options
from .pretrained import pick_backbone

WITHOUT = "cropped and mirrored copies are not found"
BATCH = 64
THUMBNAILS_OF = "mobilenet_v2"  # with the user's embeddings, images are resized as for this one


def appearance_of(
    dataset: fo.Dataset,
    ids: Sequence[str],
    paths: Sequence[str],
    backbone: str | None,
    weights: str | None,
    embeddings: np.ndarray | None,
    device: str | None,
    progress: Progress,
) -> list[np.ndarray]:
    """Compute the arrays (N, C) by which near duplicates are found.

    These are thumbnails and, if there are pretrained weights, features of the backbone. Values
    stored by earlier calls and by `predict` are reused.

    Args:
        dataset: the dataset of the images
        ids, paths: ids and file paths of the samples; images that cannot be decoded are reported
            and get rows of NaN
        backbone, weights, device, progress: see `find_leaks`
        embeddings: (N, C), the user's embeddings, used instead of features
    """
    if embeddings is not None:
        backbone, weights = THUMBNAILS_OF, "none"
    else:
        backbone, weights = pick_backbone(dataset, backbone, weights, WITHOUT)
    recipe = make_recipe(backbone=backbone, weights=weights).with_resize("crop")
    images = Images(
        paths,
        recipe.image_size,
        resize=recipe.resize,
        decode_options=decode_options(dataset),
    )
    readers = pixel_readers(recipe.image_size, recipe.resize)  # for other verbs too
    pixels = len(readers)
    if weights != "none":
        network = FrozenLater(recipe, device)
        readers.append((source_of(dataset, network), network))
    by = f"by {backbone}" if weights != "none" else "by thumbnails"
    by = "by your embeddings" if embeddings is not None else by
    with reporting(progress, f"Comparing {len(paths)} images {by}") as report:
        found = read_features(dataset, ids, images, readers, BATCH, report)
    report_failures(images.failures)
    features = found[pixels:] if embeddings is None else [embeddings]
    return [found[0], *features]
