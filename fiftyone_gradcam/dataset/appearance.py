"""What the images of a dataset look like, to tell near duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from ..images.batches import Images
from ..progress import Progress, reporting, tell_failures
from ..training.frozen import FrozenLater
from ..training.recipes import make_recipe
from .feature_sources import source_of
from .features import pixel_readers, read_features
from .import_record import decode_options
from .pretrained import pick_backbone

WITHOUT = "cropped and mirrored copies are not found"
BATCH = 64
THUMBNAILS_OF = "mobilenet_v2"  # with embeddings of the user's: images are shown as this sees them


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
    """What near duplicates are found by, arrays (N, C): thumbnails, and features of the pretrained
    backbone if there are weights. What earlier calls and `predict` have kept is used.

    Args:
        dataset: that the images are of
        ids, paths: of their samples; what cannot be decoded is reported, and has rows of NaN
        backbone, weights, device, progress: see `find_leaks`
        embeddings: (N, C) of the user's, in the place of features
    """
    if embeddings is not None:
        backbone, weights = THUMBNAILS_OF, "none"
    else:
        backbone, weights = pick_backbone(dataset, backbone, weights, WITHOUT)
    recipe = make_recipe(backbone=backbone, weights=weights).shown_by("crop")
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
    tell_failures(images.failures)
    features = found[pixels:] if embeddings is None else [embeddings]
    return [found[0], *features]
