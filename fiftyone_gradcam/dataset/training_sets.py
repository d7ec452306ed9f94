"""The training and validation sets of a training, read from a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import fiftyone as fo
import numpy as np

from ..images.batches import Images
from ..progress import counted, some
from ..training.recipe import Recipe
from ..training.sources import Labelled
from . import fields, splits
from .import_record import decode_options
from .labels_before import labels_to_learn
from .reviews import without_left_out
from .run import BEFORE_REVIEW, CURRENT

Samples = fo.core.collections.SampleCollection
CACHE_BYTES = 2 << 30  # memory for decoded images that are kept between epochs


def training_data(
    samples: Samples,
    label_field: str,
    recipe: Recipe,
    include_excluded: bool = False,
    verbose: bool = True,
    labels: str = CURRENT,
) -> tuple[list[str], Labelled, Labelled | None]:
    """Return the classes, training set and validation set of a collection (see `fine_tune`).

    Args:
        samples: a dataset or view
        label_field: the field of the classes
        recipe: the recipe, which defines the size and resize of images
        include_excluded: include samples that reviews have left out
        verbose: print what is left out
        labels: "current", or "before_review" for the labels before reviews changed them; samples
            that reviews have left out are used then

    Returns:
        the class names in alphabetical order, the training set, and the validation set or None if
        there are no validation images

    Raises:
        ValueError: if there are no training samples, such as when no sample of a dataset is tagged
            "train", or if they have fewer than two classes
    """
    dataset = fields.root_dataset(samples)
    fields.check_label_field(samples, label_field)
    splits.check_whole(dataset)
    then = labels_to_learn(dataset, label_field, labels)
    include_excluded = include_excluded or labels == BEFORE_REVIEW
    is_whole = isinstance(samples, fo.Dataset)
    samples = without_left_out(samples, include_excluded, verbose)
    chosen = samples.match_tags("train")
    if not len(chosen):
        if is_whole:
            raise ValueError(
                f"No sample of {dataset.name!r} is tagged 'train'. Call split() first, or pass a "
                f"view to train on"
            )
        chosen = samples.match_tags(["val", "test"], bool=False)
        if not len(chosen):
            raise ValueError(
                "There is nothing to train on: all of these samples are tagged 'val' or 'test'"
            )
    val_samples = samples.match_tags("val")
    if not len(val_samples):
        val_samples = without_left_out(dataset.match_tags("val"), include_excluded, verbose)
    _, known = _labels_of(chosen, label_field, then)
    counts = fields.class_counts(known)
    if len(counts) < 2:
        raise ValueError(
            f"Training needs at least two classes in {label_field!r}; the {len(known)} training "
            f"samples have {', '.join(map(repr, counts)) or 'no labels'}"
        )
    if (unlabelled := known.count(None)) and verbose:
        print(f"Left out {counted(unlabelled, 'training sample')} without a label")
    classes = list(counts)
    train_set, _ = _labelled(chosen, label_field, then, classes, recipe, CACHE_BYTES)
    rest = max(0, CACHE_BYTES - 3 * recipe.image_size**2 * len(train_set.images))
    val_set, unknown = _labelled(val_samples, label_field, then, classes, recipe, rest)
    if unknown and verbose:
        print(f"Not used for validation, because there are no training images of: {some(unknown)}")
    if not len(val_set.images):
        if verbose:
            print("No sample is tagged 'val': the last epoch is kept")
        return classes, train_set, None
    return classes, train_set, val_set


def _labels_of(
    samples: Samples, label_field: str, then: Mapping[str, str | None]
) -> tuple[list[str], list[str | None]]:
    """Return the paths and labels of samples, with other labels for some of them, by id."""
    ids, paths, labels = fields.labels_of(samples, label_field)
    return paths, [then.get(i, label) for i, label in zip(ids, labels, strict=True)]


def _labelled(
    samples: Samples,
    label_field: str,
    then: Mapping[str, str | None],
    classes: list[str],
    recipe: Recipe,
    cache_bytes: int,
) -> tuple[Labelled, list[str]]:
    """Return the samples of known classes as images with class indexes, and the unknown classes."""
    paths, labels = _labels_of(samples, label_field, then)
    indexes = class_indexes(labels, classes)
    known = [path for path, index in zip(paths, indexes, strict=True) if index >= 0]
    unknown = sorted({x for x in labels if x is not None} - set(classes))
    options = decode_options(fields.root_dataset(samples))
    images = Images(
        known, recipe.image_size, cache_bytes, resize=recipe.resize, decode_options=options
    )
    return Labelled(images, indexes[indexes >= 0]), unknown


def class_indexes(labels: list[str | None], classes: list[str]) -> np.ndarray:
    """Return the class index of each label: (N,) int64, -1 for no label and for other labels."""
    order = {label: index for index, label in enumerate(classes)}
    return np.array([order.get(label, -1) for label in labels], np.int64)


def digest_of(*sets: Labelled | None) -> str:
    """Compute a digest that is equal for two trainings if their images and labels are the same."""
    digest = hashlib.blake2b(digest_size=16)
    for data in sets:
        if data is not None:
            digest.update("\n".join(data.images.paths).encode("utf-8", "surrogateescape"))
            digest.update(data.labels.tobytes())
    return digest.hexdigest()
