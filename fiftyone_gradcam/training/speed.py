"""Estimate the duration of a training from a short measurement."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..images.batches import Images
from ..images.geometry import RESIZES
from ..model.device import pick_device
from .learner import Learner, Sums
from .recipe import AUTO, Recipe
from .resizing import LEAST_IMAGES as LEAST_COMPARED
from .resizing import MOST_IMAGES as MOST_COMPARED
from .sources import Labelled, Pictures

MOST_IMAGES = 8  # in a measured batch, at most


@dataclass(frozen=True)
class Speed:
    """Measured seconds per image.

    Attributes:
        device: the torch device, such as "cpu" or "cuda"
        decode: for decoding, with all threads together
        learn: for a training step
        look: for an evaluation
    """

    device: str
    decode: float
    learn: float
    look: float


def measure_speed(
    recipe: Recipe, num_classes: int, paths: Sequence[str], device: str | None = None
) -> Speed:
    """Train on a few images twice, and time the second run.

    Args:
        recipe: the settings; its weights are not loaded, because they do not affect the speed
        num_classes: number of classes K
        paths: some of the training images
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one

    Raises:
        ValueError: if none of the images can be decoded, or they are too small for the network
    """
    device = pick_device(device)
    count = min(recipe.batch_size, MOST_IMAGES, len(paths))
    # Nothing is frozen without weights. With some frozen stages, training is faster than this.
    is_frozen, measured = recipe.freeze == "backbone", {"weights": "none", "freeze": "none"}
    recipe = replace(recipe, batch_size=count, class_balance="none", **measured)
    labels = np.arange(count) % num_classes
    images = Images(
        paths[:count], recipe.image_size, 1 << 28, resize=recipe.with_resize("crop").resize
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
        sums.read()  # waits for the GPU
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
    """Estimate the duration of a training in seconds, without its startup.

    Args:
        speed: the measured speed
        recipe: the settings; `epochs` must be set
        train_images, val_images: numbers of images
    """
    every = recipe.validate_every
    compared = min(train_images, MOST_COMPARED) if recipe.resize == AUTO else 0
    if compared < LEAST_COMPARED:
        compared = 0
    steps = -(-train_images // recipe.batch_size) * recipe.epochs
    looks = steps // every + 1 if every else recipe.epochs
    seconds = (train_images + val_images) * speed.decode
    seconds += compared * (speed.decode + len(RESIZES) * speed.look)
    once = (train_images + val_images) * speed.look
    if recipe.freeze == "backbone" and not recipe.augments:
        return seconds + once
    if recipe.head_epochs and not recipe.from_scratch:
        seconds += once
    return seconds + recipe.epochs * train_images * speed.learn + looks * val_images * speed.look
