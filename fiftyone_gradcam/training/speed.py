"""How long a training will take, from a short measurement."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..images.batches import Images
from ..model.device import pick_device
from .learner import Learner, Sums
from .recipe import Recipe
from .sources import Labelled, Pictures

MOST_IMAGES = 8  # in a batch that is measured


@dataclass(frozen=True)
class Speed:
    """Seconds for an image, and where.

    Attributes:
        device: such as "cpu" or "cuda"
        decode: of reading it, by all threads together
        learn: of learning from it
        look: of a look at it
    """

    device: str
    decode: float
    learn: float
    look: float


def measure_speed(
    recipe: Recipe, num_classes: int, paths: Sequence[str], device: str | None = None
) -> Speed:
    """Learn from a few images twice, and take the time of the second go.

    Args:
        recipe: what to do; its weights are left out, for they make no difference
        num_classes: number of classes K
        paths: some of the training images
        device: such as "cpu" or "cuda"; None picks

    Raises:
        ValueError: if none of the images can be decoded, or they are too small for the network
    """
    device = pick_device(device)
    count = min(recipe.batch_size, MOST_IMAGES, len(paths))
    # Without weights nothing is frozen: learning with some frozen stages takes less than this.
    is_frozen, measured = recipe.freeze == "backbone", {"weights": "none", "freeze": "none"}
    recipe = replace(recipe, batch_size=count, class_balance="none", **measured)
    labels = np.arange(count) % num_classes
    images = Images(
        paths[:count], recipe.image_size, 1 << 28, resize=recipe.shown_by("crop").resize
    )
    data = Labelled(images, labels)
    learner = Learner(recipe, num_classes, device, labels)
    source = Pictures(data, recipe, num_classes, learner.backbone, device)
    random, sums = np.random.default_rng(0), Sums()
    reader = source.reader(learner.model)
    learner.freezer.train(learner.freezer.frozen(1))

    def learn() -> float:
        start = time.perf_counter()
        for batch in source.batches(data.positions, random):
            learner.learn(batch, reader, sums, 1.0)
        sums.read()  # a GPU is waited for
        return time.perf_counter() - start

    start = time.perf_counter()
    usable = sum(len(batch.positions) for batch in images.batches(count))
    decode = time.perf_counter() - start
    learn()
    seconds = learn()
    start = time.perf_counter()
    learner.evaluate(source, lambda _: None)
    look = time.perf_counter() - start
    learn_seconds = look if is_frozen else seconds
    return Speed(device.type, decode / usable, learn_seconds / usable, look / usable)


def estimate_seconds(speed: Speed, recipe: Recipe, train_images: int, val_images: int) -> float:
    """How long a training takes, without the start.

    Args:
        speed: as measured
        recipe: with its number of epochs settled
        train_images, val_images: numbers of images
    """
    every = recipe.validate_every
    steps = -(-train_images // recipe.batch_size) * recipe.epochs
    looks = steps // every + 1 if every else recipe.epochs
    seconds = (train_images + val_images) * speed.decode
    once = (train_images + val_images) * speed.look
    if recipe.freeze == "backbone" and not recipe.augments:
        return seconds + once
    if recipe.head_epochs and not recipe.from_scratch:
        seconds += once
    return seconds + recipe.epochs * train_images * speed.learn + looks * val_images * speed.look
