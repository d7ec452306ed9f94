"""Choose how the images of a dataset are resized to a square for a pretrained network."""

from __future__ import annotations

import fiftyone as fo

from ..images.geometry import RESIZES
from ..progress import Progress, reporting
from ..training.recipe import AUTO, Recipe
from ..training.resizing import CHOOSING, MOST_IMAGES, settle_resize
from . import fields
from .import_record import decode_options
from .training_sets import class_indexes


def sizes_before(images: int) -> tuple[int, int]:
    """Return the work of `settled_for`, and of a pass over images after it, for `shares_of`."""
    return len(RESIZES) * min(images, MOST_IMAGES), images


def settled_for(
    samples: fo.core.collections.SampleCollection,
    recipe: Recipe,
    label_field: str,
    device: str | None,
    progress: Progress,
    otherwise: str = "crop",
) -> Recipe:
    """Return the recipe with resize="auto" replaced by the way that works best on these images.

    The ways are compared on the labeled images: on those tagged "train" if there are any (see
    `training.resizing.settle_resize`).

    Args:
        samples: a dataset or view
        recipe: any recipe
        label_field: the field of the classes; it need not exist
        device, progress: see `predict`
        otherwise: the way that is chosen if there are too few labeled images
    """
    dataset = fields.root_dataset(samples)
    if recipe.resize != AUTO or dataset.get_field(label_field) is None:
        return recipe.with_resize(otherwise)
    tagged = samples.match_tags("train")
    _, paths, labels = fields.labels_of(tagged if len(tagged) else samples, label_field)
    indexes = class_indexes(labels, list(fields.class_counts(labels)))
    with reporting(progress, CHOOSING) as report:
        return settle_resize(
            recipe, paths, indexes, device, decode_options(dataset), report, otherwise
        )
