"""How long a training takes, and how many epochs it has; this module imports nothing heavy, so that
forms and panels can estimate without PyTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .recipe import Recipe

AUTO = "auto"  # a resize method that is chosen by features of the training images
WAYS = 3  # resize methods that are compared
MOST_COMPARED, LEAST_COMPARED = 300, 40  # images
LEAST_EPOCHS, LEAST_STEPS = 5, 150  # if epochs is None
AUGMENTATIONS = (
    *("horizontal_flip", "vertical_flip", "translation", "scale", "rotation", "elastic"),
    *("brightness", "contrast", "noise", "cutout", "mixup"),
)


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


@dataclass(frozen=True)
class Outline:
    """The options of a `Recipe` that matter for its duration, by the same names."""

    epochs: int | None = 5
    batch_size: int = 16
    validate_every: int = 0
    freeze: str | int = "none"
    head_epochs: int = 0
    resize: str = AUTO
    augments: bool = True
    from_scratch: bool = False

    @classmethod
    def of(cls, choices: Mapping[str, object]) -> Outline:
        """Return the outline of `Recipe(**choices)`; weights "auto" are taken to be at hand."""
        own = {name: choices[name] for name in (x.name for x in fields(cls)) if name in choices}
        is_small = choices.get("backbone") == "small_cnn"
        from_scratch = choices.get("weights") == "none" or (
            is_small and choices.get("weights") == "auto"
        )
        own["resize"] = choices.get("resize") or AUTO
        if own["resize"] == AUTO and (from_scratch or is_small):
            own["resize"] = "squash"
        defaults = {"horizontal_flip": True, "translation": 1}
        given = {name: x for name, x in choices.items() if x is not None}
        changes = [(defaults | given).get(name, 0) for name in AUGMENTATIONS]
        augments = (choices.get("crop") or 1) < 1 or any(changes)
        return cls(**own | {"augments": augments, "from_scratch": from_scratch})

    def settled(self, train_images: int) -> Outline:
        """Return this outline with a number of epochs, if that is None."""
        if self.epochs is not None:
            return self
        return replace(self, epochs=settled_epochs(train_images, self.batch_size))


def settled_epochs(train_images: int, batch_size: int) -> int:
    """Return the number of epochs if a recipe leaves it open.

    Args:
        train_images: number of images to train on
        batch_size: images per step
    """
    steps = max(1, math.ceil(train_images / batch_size))
    return max(LEAST_EPOCHS, math.ceil(LEAST_STEPS / steps))


def estimate_seconds(
    speed: Speed, recipe: Recipe | Outline, train_images: int, val_images: int
) -> float:
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
    seconds += compared * (speed.decode + WAYS * speed.look)
    once = (train_images + val_images) * speed.look
    if recipe.freeze == "backbone" and not recipe.augments:
        return seconds + once
    if recipe.head_epochs and not recipe.from_scratch:
        seconds += once
    # What is frozen needs no backward pass.
    learn = speed.look if recipe.freeze == "backbone" else speed.learn
    return seconds + recipe.epochs * train_images * learn + looks * val_images * speed.look
