"""Quick trainings of a small network on digits."""

from pathlib import Path

import numpy as np
from conftest import save_digits

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.sources import Labelled

CHOICES = {
    "backbone": "small_cnn",
    "weights": "none",
    "epochs": 4,
    "batch_size": 16,
    "image_size": 16,
    "horizontal_flip": False,
    "translation": 0,
}


def recipe(**choices) -> Recipe:
    return Recipe(**{**CHOICES, **choices})


def sets_of_digits(folder: Path) -> tuple[Labelled, Labelled]:
    """Training and validation set of 40 digits of each of three classes, written to a folder."""
    paths = sorted(save_digits(folder, per_class=40).glob("*/*.png"))
    labels = np.array([int(p.parent.name[-1]) for p in paths])
    held = np.arange(len(paths)) % 4 == 0
    images = Images([str(p) for p in paths], 16, cache_bytes=1 << 24)
    return (
        Labelled(images, labels, np.flatnonzero(~held)),
        Labelled(images, labels, np.flatnonzero(held)),
    )
