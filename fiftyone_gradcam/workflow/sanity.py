"""Say whether a setup can learn at all, before time is spent on a training."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ..dataset import fields
from ..dataset.import_record import decode_options
from ..dataset.training_sets import CACHE_BYTES, class_indexes
from ..images.batches import Images
from ..jobs.delegating import delegable
from ..progress import Progress, reporting, tell_failures
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
    """Train on a handful of images alone until the network knows them by heart.

    A setup that cannot do so cannot learn: its learning rate is too low or too high, too much is
    frozen, the last layer is dead, or labels contradict each other. The answer says which. The
    recipe is followed but for augmentation and class balance, which would hide the answer. Nothing
    is written.

    Args:
        samples: a dataset or view; its samples tagged "train", if any are
        recipe: a name of `fiftyone_gradcam.training.known_recipes.RECIPES`, or a `Recipe`
        images: how many, drawn at random and as many of each class; at least 2
        steps: at most so many steps, at least 1; it ends as soon as all are right
        label_field: field of the classes
        device: such as "cpu" or "cuda"; None takes the best at hand
        progress: a bar (True), none (False), FiftyOne's setting (None), or a function that is
            called with (done, total, message)
        delegate: do the work in another process, as a job, and return the `Job` at once
        **choices: any choices of `fiftyone_gradcam.training.recipe.Recipe`, instead of those of the
            recipe

    Returns:
        the `SanityCheck`: whether it `passed`, the `accuracy` that was reached, and a `message`

    Raises:
        ValueError: if a choice is not understood, there are fewer than two classes, or none of the
            images can be decoded
        FileNotFoundError, ConnectionError: as `fine_tune`
    """
    for name, value, least in (("images", images, 2), ("steps", steps, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
    fields.check_label_field(samples, label_field)
    recipe = make_recipe(recipe, **choices).shown_by("crop")
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
    with reporting(progress, f"Learning {len(files)} images by heart") as report:
        found = overfit(
            recipe,
            len(classes),
            data,
            steps,
            device,
            lambda done, total: report(done, total, "Learning by heart"),
        )
    tell_failures(data.images.failures)
    print(found)
    return found


def some_of_each(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Positions of so many images, as many of each class as there are, drawn at random.

    Args:
        labels: (N,) class indexes; -1 for images that have none, which are not drawn
        count: how many; all if there are not so many
        seed: of the draw

    Returns:
        positions, in order
    """
    order = np.random.default_rng(seed).permutation(np.flatnonzero(labels >= 0))
    rank = np.empty(len(order), np.int64)  # how many of its class were drawn before
    for label in np.unique(labels[order]):
        own = labels[order] == label
        rank[own] = np.arange(own.sum())
    return np.sort(order[np.argsort(rank, kind="stable")[:count]])
