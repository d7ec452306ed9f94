"""Facts about images that are gathered before their labels are checked, such as features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import fiftyone as fo
import numpy as np

from ..images.batches import Images
from ..images.decode import ImageError
from ..passes.engine import no_report
from ..progress import Report
from ..review.pictures import poor_pictures
from ..training.frozen import FrozenLater
from ..training.recipe import Recipe
from ..training.recipes import make_recipe
from .appearance import BATCH, THUMBNAILS_OF
from .feature_sources import source_of
from .features import pixel_readers, read_features
from .import_record import decode_options
from .training_sets import CACHE_BYTES

SHAPE = ("metadata.width", "metadata.height")


@dataclass(frozen=True)
class ImageFacts:
    """Facts about N images.

    Attributes:
        images: the image files; None if no file is read
        features: (N, C), rows of NaN for images that cannot be judged; (N, 0) if there are none
        thumbnails: (N, 256), see `review.duplicates.thumbnails`; (N, 0) if there are none
        measures: (N, 4), see `review.pictures`; (N, 0) if there are none
        sizes: (N, 2) width and height in pixels; NaN where unknown
        failures: errors of images that cannot be decoded, by position
    """

    images: Images | None
    features: np.ndarray
    thumbnails: np.ndarray
    measures: np.ndarray
    sizes: np.ndarray
    failures: dict[int, ImageError] = field(default_factory=dict)

    def kinds(self) -> list[np.ndarray]:
        """Return the arrays by which near duplicates are found."""
        return [values for values in (self.thumbnails, self.features) if values.shape[1]]

    def usable(self) -> np.ndarray:
        """Return (N,) booleans, True for images whose labels can be judged."""
        there = np.array([i not in self.failures for i in range(len(self.sizes))], bool)
        return there & np.isfinite(self.features).all(1)

    def poor(self) -> list[tuple[str, str] | None]:
        """Return the defect of each image and the evidence, or None; see `review.pictures`."""
        return poor_pictures(self.measures, *self.sizes.T)


def image_facts(
    dataset: fo.Dataset,
    ids: Sequence[str],
    paths: Sequence[str],
    method: str,
    recipe: Recipe | None,
    embeddings: np.ndarray | None,
    device: str | None,
    report: Report,
) -> ImageFacts:
    """Gather facts about images, in at most one pass over them.

    Args:
        dataset: the dataset of the samples
        ids, paths: ids and file paths of the samples
        method: the method of `find_label_issues`; with "probabilities", images are not read
        recipe: the recipe whose backbone computes features; None if embeddings are given
        embeddings: (N, C), the user's embeddings, used instead of features
        device, report: see `run_pass`
    """
    sizes = _sizes(dataset, ids)
    nothing = np.empty((len(ids), 0), np.float32)
    given = nothing if embeddings is None else embeddings
    if method == "probabilities":
        return ImageFacts(None, given, nothing, nothing, sizes)
    trains = method == "fine-tune"
    shown = recipe or make_recipe(backbone=THUMBNAILS_OF, weights="none", resize="crop")
    images = Images(
        paths,
        shown.image_size,
        CACHE_BYTES if trains else 0,
        resize=shown.resize,
        decode_options=decode_options(dataset),
    )
    readers = pixel_readers(shown.image_size, shown.resize)
    if recipe is not None and not trains:
        network = FrozenLater(recipe, device)
        readers.append((source_of(dataset, network), network))
    if trains:  # the training reports its own progress
        report = no_report
    found = read_features(dataset, ids, images, readers, BATCH, report)
    images.check_readable()
    features = found[2] if len(found) > 2 else given
    return ImageFacts(images, features, found[0], found[1], sizes, dict(images.failures))


def _sizes(dataset: fo.Dataset, ids: Sequence[str]) -> np.ndarray:
    """Return width and height (N, 2) of the images, from the metadata of the samples."""
    columns = dataset.select(list(ids), ordered=True).values(list(SHAPE))
    return np.array(columns, np.float64).T.reshape(-1, 2)
