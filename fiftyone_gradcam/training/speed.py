"""Measure the speed of a training, from which its duration is estimated (see `duration`)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..images.batches import Images
from ..model.device import pick_device
from .duration import Speed
from .learner import Learner, Sums
from .recipe import Recipe
from .sources import Labelled, Pictures

MOST_IMAGES = 8  # in a measured batch, at most


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
    recipe = replace(recipe, batch_size=count, class_balance="none", weights="none", freeze="none")
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
    return Speed(device.type, decode / usable, seconds / usable, look / usable)
