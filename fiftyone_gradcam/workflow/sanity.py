"""Check that a recipe can learn, before training."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ..dataset import fields
from ..dataset.import_record import decode_options
from ..dataset.training_sets import CACHE_BYTES, class_indexes
from ..images.batches import Images
from ..jobs.delegating import delegable
from ..progress import Progress, report_failures, reporting
from ..training.overfit import SanityCheck, overfit
from ..training.recipe import Recipe
from ..training.recipes import make_recipe
from ..training.sources import Labelled


@delegable
def sanity_check(
    samples: fo.core.collections.SampleCollection,
    recipe: str | Recipe = "default",
    images: int = 16,
    steps: int = 100,
    label_field: str = "ground_truth",
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
    **choices,
) -> SanityCheck:
    """Check that a recipe can learn: train on a few images until the network has memorized them.

    A network that cannot memorize a few images will not learn from more: its learning rate is too
    low or too high, too many layers are frozen, the last layer is dead, or labels contradict each
    other. The result says which. Augmentation and class balancing are turned off, because they
    would hide the cause. Nothing is written.

    Args:
        samples: a dataset or view; samples tagged "train" are used if there are any, else all
            samples
        recipe: a `Recipe`, or the name of one in `fiftyone_gradcam.training.known_recipes.RECIPES`,
            such as "default"
        images: number of images, drawn at random with the same number for each class; at least 2
        steps: maximum number of training steps, at least 1; training ends as soon as all images are
            classified correctly
        label_field: field with the labels of the samples
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends
        **choices: options of `fiftyone_gradcam.training.recipe.Recipe`, such as `epochs=10`, which
            replace those of `recipe`

    Returns:
        the `SanityCheck`: whether it `passed`, the final `accuracy`, and a `message`

    Raises:
        ValueError: if an option is invalid, there are fewer than two classes, or no image can be
            decoded
        FileNotFoundError, ConnectionError: if the weights file does not exist, or ImageNet weights
            are not cached and cannot be downloaded
    """
    for name, value, least in (("images", images, 2), ("steps", steps, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
    fields.check_label_field(samples, label_field)
    recipe = make_recipe(recipe, **choices).with_resize("crop")
    tagged = samples.match_tags("train")
    _, paths, labels = fields.labels_of(tagged if len(tagged) else samples, label_field)
    classes = list(fields.class_counts(labels))
    if len(classes) < 2:
        raise ValueError(
            f"A classifier needs at least two classes in {label_field!r}; there are: "
            f"{', '.join(map(repr, classes)) or 'none'}"
        )
    indexes = class_indexes(labels, classes)
    chosen = some_of_each(indexes, images, recipe.seed)
    files = [paths[i] for i in chosen]
    options = decode_options(fields.root_dataset(samples))
    pictures = Images(
        files, recipe.image_size, CACHE_BYTES, resize=recipe.resize, decode_options=options
    )
    data = Labelled(pictures, indexes[chosen])
    with reporting(progress, f"Memorizing {len(files)} images") as report:
        found = overfit(
            recipe,
            len(classes),
            data,
            steps,
            device,
            lambda done, total: report(done, total, "Memorizing"),
        )
    report_failures(data.images.failures)
    print(found)
    return found


def some_of_each(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw images at random, with the same number from each class as far as possible.

    Args:
        labels: (N,) class indexes; -1 for images without a label, which are not drawn
        count: number of images to draw; all images if there are fewer
        seed: random seed

    Returns:
        positions, in ascending order
    """
    order = np.random.default_rng(seed).permutation(np.flatnonzero(labels >= 0))
    rank = np.empty(len(order), np.int64)  # number of images of the same class drawn before
    for label in np.unique(labels[order]):
        own = labels[order] == label
        rank[own] = np.arange(own.sum())
    return np.sort(order[np.argsort(rank, kind="stable")[:count]])
