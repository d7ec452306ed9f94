"""How much work the steps of a training are, so that its progress follows the time they take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .recipe import Recipe

# For each image, relative to a forward pass. A backward pass takes about twice as long.
FORWARD, LEARN, CACHED = 1.0, 3.0, 0.02


@dataclass(frozen=True)
class Work:
    """The work of a training, in forward passes of an image.

    Attributes:
        once: features that are computed before the first epoch
        learn: learning from one image
        look: validating one image
        epoch: an epoch with its validations
    """

    once: float
    learn: float
    look: float
    epoch: float


def work_of(
    recipe: Recipe,
    train_images: int,
    val_images: int,
    has_room: bool = True,
    resumes: bool = False,
) -> Work:
    """Return the work of a training.

    Args:
        recipe: with its number of epochs settled
        train_images, val_images: numbers of images
        has_room: whether the features of all images fit in memory
        resumes: whether the training resumes after its first epoch
    """
    is_frozen = recipe.freeze == "backbone"
    cached = is_frozen and not recipe.augments and has_room
    head_first = bool(recipe.head_epochs) and has_room and not (recipe.from_scratch or resumes)
    learn = CACHED if cached else FORWARD if is_frozen else LEARN
    look = CACHED if cached else FORWARD
    validations = 1.0
    if recipe.validate_every:
        steps = math.ceil(train_images / recipe.batch_size) * recipe.epochs
        validations = math.ceil(steps / recipe.validate_every) / recipe.epochs
    once = FORWARD * (train_images + val_images) * (cached or head_first)
    return Work(once, learn, look, train_images * learn + validations * val_images * look)
