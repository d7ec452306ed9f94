"""Training steps: optimizer, learning rate schedule, weight averaging, and class weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from .recipe import Recipe

ONE_CYCLE_START = 1 / 25  # of the highest rate (Smith and Topin, arXiv 1708.07120; fastai)


def make_optimizer(
    recipe: Recipe, old: Iterable[nn.Parameter], new: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """Return the recipe's optimizer; the new layers learn faster if the backbone is pretrained.

    Args:
        recipe: the settings
        old, new: weights of the backbone, and of the new layers
    """
    factor = 1.0 if recipe.from_scratch else recipe.head_lr_factor
    rate = recipe.learning_rate
    groups = [{"params": list(old), "lr": rate}, {"params": list(new), "lr": rate * factor}]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[recipe.optimizer]
    return kind(groups, weight_decay=recipe.weight_decay)


def rate_factor(schedule: str, warmup: float, step: int, steps: int) -> float:
    """Return the factor by which the highest learning rate is multiplied at a step.

    Args:
        schedule, warmup: see `Recipe`
        step: number of the step, from 0
        steps: total number of steps

    Returns:
        a number in [0, 1]
    """
    if schedule == "one_cycle":
        top = (warmup or 0.3) * steps
        if step < top:
            return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * _half_cosine(1 - step / top)
        return _half_cosine((step - top) / (steps - top))
    rise = round(warmup * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return 1.0 if schedule == "constant" else _half_cosine((step - rise) / max(1, steps - rise))


def _half_cosine(share: float) -> float:
    """Fall from 1 to 0 along a half cosine as `share` goes from 0 to 1."""
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rate of each group to its highest learning rate times a factor."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("highest_lr", group["lr"]) * factor


class Average:
    """A network whose weights are an exponential moving average of another network's weights.

    The decay of step n is at most (1 + n) / (10 + n), as in TensorFlow's ExponentialMovingAverage;
    otherwise the average would stay near the initial weights.

    Args:
        model: the network that is trained
        decay: in (0, 1)
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the average after a step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for own, other in zip(self.model.modules(), model.modules(), strict=True):
            for name, weight in other.named_parameters(recurse=False):
                if weight.requires_grad:  # frozen weights have not changed
                    own.get_parameter(name).lerp_(weight, 1 - decay)
            for name, value in other.named_buffers(recurse=False):
                if not other.training:
                    continue
                if value.is_floating_point():
                    own.get_buffer(name).lerp_(value, 1 - decay)
                else:
                    own.get_buffer(name).copy_(value)


def class_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return weights inverse to class frequencies, such that the mean weight over all labels is 1.

    Args:
        labels: (N,) class indexes
        num_classes: number of classes K

    Returns:
        (K,) float32; 0 for a class without labels
    """
    counts = np.bincount(labels, minlength=num_classes)
    present = counts > 0
    weights = np.zeros(num_classes, np.float32)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return weights


def draw_order(
    positions: np.ndarray, labels: np.ndarray, recipe: Recipe, random: np.random.Generator
) -> np.ndarray:
    """Return the images of an epoch in random order.

    Args:
        positions: (n,) the training images
        labels: (N,) class index of every image
        recipe: if its `class_balance` is "sampling", images are drawn with replacement, such that
            each class is equally probable
        random: generator for the draws

    Returns:
        (n,) positions
    """
    if recipe.class_balance != "sampling":
        return random.permutation(positions)
    own = labels[positions]
    share = class_weights(own, int(labels.max()) + 1)[own].astype(np.float64)
    return random.choice(positions, len(positions), p=share / share.sum())


def few_of_each(
    positions: np.ndarray, labels: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    """Return at most `count` random positions of each class, sorted.

    Args:
        positions: (n,) images
        labels: (N,) class index of every image
        count: maximum number of images per class
        random: generator for the draws
    """
    kept: list[np.ndarray] = []
    for label in np.unique(labels[positions]):
        members = positions[labels[positions] == label]
        kept.append(random.permutation(members)[:count])
    return np.sort(np.concatenate(kept)) if kept else positions
