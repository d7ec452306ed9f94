"""Choose how the images of a dataset are resized to a square for a pretrained network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import fiftyone as fo
import numpy as np

from ..images.geometry import RESIZES
from ..model.network import Network
from ..progress import Progress, reporting
from ..training.frozen import FrozenLater
from ..training.recipe import AUTO, Recipe
from ..training.resize_features import CHOOSING, KeptFeatures
from ..training.resizing import MOST_IMAGES, settle_resize
from . import fields
from .feature_files import rounded
from .feature_sources import compared_source
from .import_record import decode_options
from .kept_features import Kept, keeping
from .training_sets import class_indexes


class KeptByWay:
    """The features of a comparison of resize methods that are stored with a dataset.

    Args:
        kept: the stored features of each method
    """

    def __init__(self, kept: dict[str, Kept]):
        self._kept = kept

    def read(self) -> dict[str, np.ndarray]:
        """See `training.resize_features.KeptFeatures`."""
        return {way: one.read() for way, one in self._kept.items()}

    def add(self, positions: np.ndarray, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `training.resize_features.KeptFeatures`."""
        for way, one in self._kept.items():
            one.add(positions, values[way])
        return {way: rounded(rows) for way, rows in values.items()}


@contextmanager
def keep_by_way(
    dataset: fo.Dataset, network: FrozenLater | Network, paths: Sequence[str]
) -> Iterator[KeptFeatures]:
    """Provide the stored features of a comparison, and store new ones at the end.

    Each row belongs to a network with its weights and image size, and to one version of an image
    file. Labels do not matter: after they have changed, only the leave-one-out predictions are
    computed again, and the network only sees images that were not compared before. The caller must
    hold the dataset's lock.

    Args:
        dataset: the dataset of the images
        network: the network that computes the features
        paths: the files of the images, which are samples of the dataset
    """
    rows = dataset._sample_collection.find({"filepath": {"$in": list(paths)}}, ["filepath"])
    known = {row["filepath"]: str(row["_id"]) for row in rows}
    there = [path for path in paths if path in known]
    if len(there) < len(paths):  # samples were deleted in the meantime
        raise ValueError(
            f"{len(paths) - len(there)} images were deleted from {dataset.name!r} in the meantime. "
            f"Call again"
        )
    ids = [known[path] for path in paths]
    kept = {way: Kept(dataset, compared_source(network, way), ids, paths) for way in RESIZES}
    with keeping(*kept.values()):
        yield KeptByWay(kept)


def choose_resize(
    dataset: fo.Dataset,
    recipe: Recipe,
    paths: Sequence[str],
    labels: np.ndarray,
    device: str | None,
    progress: Progress,
    otherwise: str = "crop",
) -> Recipe:
    """Return the recipe with resize="auto" replaced by the way that works best on some images.

    What the network computes for the comparison is kept with the dataset (see `keep_by_way`).

    Args:
        dataset: the dataset of the images
        recipe: any recipe
        paths, labels: (N,) files and class indexes of the images, -1 for no label
        device, progress: see `predict`
        otherwise: the way that is chosen if there are too few labeled images
    """
    with reporting(progress, CHOOSING) as report:
        return settle_resize(
            recipe,
            paths,
            labels,
            device,
            decode_options(dataset),
            report,
            otherwise,
            partial(keep_by_way, dataset),
        )


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
    return choose_resize(dataset, recipe, paths, indexes, device, progress, otherwise)
