"""Preview the augmentation of a recipe as a picture."""

from __future__ import annotations

import os
from itertools import islice, zip_longest

import fiftyone as fo
import numpy as np
import torch
from PIL import Image

from ..arguments import checked
from ..dataset import fields
from ..dataset.files import dataset_folder
from ..dataset.import_record import decode_options
from ..dataset.writing import alone_in
from ..disk import whole_file
from ..explain import overlay
from ..images.batches import Images
from ..progress import counted, report_failures
from ..training.augment import augment, mix
from ..training.recipe import Recipe
from ..training.recipes import make_recipe

SHEET = "augmentation.png"
MOST = 100  # maximum number of samples, and of copies of each
CELLS = (128, 256)  # minimum and maximum size in pixels of an image in the picture

Samples = fo.core.collections.SampleCollection


@checked
def preview_augmentation(
    samples: Samples,
    recipe: str | Recipe = "default",
    path: str | None = None,
    count: int = 6,
    copies: int = 5,
    label_field: str = "ground_truth",
    overwrite: bool = False,
    **choices,
) -> str:
    """Write a picture of sample images as a recipe augments them in training.

    Each row shows one sample: first the resized image without augmentation, then augmented copies
    of it. With mixup, the copies are mixtures of the samples in the picture.

    Args:
        samples: a dataset or view; samples tagged "train" are shown if there are any, else all
            samples; they are drawn with the seed of the recipe, one of each class in turn
        recipe: a `Recipe`, or the name of one in `fiftyone_gradcam.training.known_recipes.RECIPES`,
            such as "default"
        path: path of the PNG file; by default (None), `augmentation.png` in the plugin's folder for
            the dataset, which is replaced. Missing folders are created
        count: number of samples, from 1 to 100; images that cannot be decoded are replaced by
            others
        copies: number of augmented copies of each sample, from 1 to 100
        label_field: field with the labels of the samples; samples without a label are left out, as
            in training
        overwrite: replace the file at `path` if it exists
        **choices: options of `fiftyone_gradcam.training.recipe.Recipe`, such as `epochs=10`, which
            replace those of `recipe`

    Returns:
        the path of the file

    Raises:
        ValueError: if an option is invalid, if the file at `path` exists, or if no sample has both
            a label and an image that can be decoded
    """
    dataset = fields.root_dataset(samples)
    fields.check_label_field(samples, label_field)
    # Weights do not matter for augmentation, and could have to be downloaded.
    recipe = make_recipe(recipe, **{**choices, "weights": "none"})
    for name, value in (("count", count), ("copies", copies)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
            raise ValueError(f"{name} must be a whole number from 1 to {MOST}, not {value!r}")
    if path is None:
        path = os.path.join(dataset_folder(dataset), SHEET)
    else:
        path = _checked(path, overwrite)
    images, labels = _drawn(samples, recipe, count, label_field)
    random = np.random.default_rng(recipe.seed)
    columns = [images, *(_augmented(images, recipe, random) for _ in range(copies))]
    captions = [[label, *(f"copy {i + 1}" for i in range(copies))] for label in labels]
    picture = overlay.sheet(
        [_picture(column[row]) for row in range(len(images)) for column in columns],
        [caption for row in captions for caption in row],
        columns=copies + 1,
        cell=int(np.clip(recipe.image_size, *CELLS)),
    )
    with alone_in(os.path.dirname(path)), whole_file(path) as part:
        picture.save(part, format="PNG")
    made = counted(copies, "augmented copy", "augmented copies")
    print(f"Wrote {made} of {counted(len(images), 'image')} to {path}")
    return path


def _checked(path: str, overwrite: bool) -> str:
    path = os.path.abspath(os.path.expanduser(path))
    if not path.lower().endswith(".png"):
        raise ValueError(f"path must name a PNG file, such as {SHEET!r}, not {path!r}")
    if os.path.isdir(path) or (os.path.exists(path) and not overwrite):
        remedy = "" if os.path.isdir(path) else ", or pass overwrite=True to replace it"
        raise ValueError(f"{path!r} exists already. Choose another path{remedy}")
    return path


def _drawn(
    samples: Samples, recipe: Recipe, count: int, label_field: str
) -> tuple[torch.Tensor, list[str]]:
    """Draw samples, and load the first of them that can be decoded: uint8 images (n, 3, S, S), and
    their labels."""
    tagged = samples.match_tags("train")
    _, paths, labels = fields.labels_of(tagged if len(tagged) else samples, label_field)
    by_class = {name: [] for name in fields.class_counts(labels)}
    if not by_class:
        known = ", ".join(fields.classification_fields(fields.root_dataset(samples)))
        raise ValueError(
            f"No sample here has a label in {label_field!r}. Pass label_field=..., one of: {known}"
        )
    for i in np.random.default_rng(recipe.seed).permutation(len(paths)):
        if labels[i] is not None:
            by_class[labels[i]].append(i)
    turns = zip_longest(*by_class.values())
    order = [i for turn in turns for i in turn if i is not None]
    options = decode_options(fields.root_dataset(samples))
    images = Images(paths, recipe.image_size, resize=recipe.resize, decode_options=options)
    good, waiting = [], iter(order)
    while trial := list(islice(waiting, count - len(good))):
        batch = images.load(np.array(trial))
        good.extend(zip(batch.positions, batch.images, strict=True))
    report_failures(images.failures)
    images.check_readable(order)
    return torch.stack([image for _, image in good]), [labels[position] for position, _ in good]


def _augmented(images: torch.Tensor, recipe: Recipe, random: np.random.Generator) -> torch.Tensor:
    """Augment a batch as a training step does."""
    changed = augment(images, recipe, random)
    if recipe.mixup:
        changed, _ = mix(changed, torch.zeros(len(images), dtype=int), 1, recipe.mixup, random)
    return changed


def _picture(image: torch.Tensor) -> Image.Image:
    pixels = image.permute(1, 2, 0).numpy()
    return Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))
