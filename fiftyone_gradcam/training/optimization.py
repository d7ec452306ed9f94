"""Steps: optimizer, schedule of the learning rate, average of the weights, weights of classes."""

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
    """The recipe's optimizer; the new layers learn faster where the rest is pretrained.

    Args:
        recipe: what to do
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
    """Factor on the highest learning rate at a step.

    Args:
        schedule, warmup: see `Recipe`
        step: from 0
        steps: number of all steps

    Returns:
        in [0, 1]
    """
    if schedule == "one_cycle":
        top = (warmup or 0.3) * steps
        if step < top:
            return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * _half_cosine(1 - step / top)
        return _half_cosine((step - top) / max(steps - top, 1e-9))
    rise = round(warmup * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return 1.0 if schedule == "constant" else _half_cosine((step - rise) / max(1, steps - rise))


def _half_cosine(share: float) -> float:
    """From 1 at 0 to 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the rate of each group to its highest one times a factor."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("highest_lr", group["lr"]) * factor


class Average:
    """A network whose weights are an exponential average of another's.

    The first steps are forgotten sooner, or the average would stay near the start: the decay of
    step n is at most (1 + n) / (10 + n), as in TensorFlow's ExponentialMovingAverage.

    Args:
        model: the network that learns
        decay: in (0, 1)
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the weights of a step in."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for own, other in zip(self.model.modules(), model.modules(), strict=True):
            for name, weight in other.named_parameters(recurse=False):
                if weight.requires_grad:  # what is frozen has not moved
                    own.get_parameter(name).lerp_(weight, 1 - decay)
            for name, value in other.named_buffers(recurse=False):
                if not other.training:
                    continue
                if value.is_floating_point():
                    own.get_buffer(name).lerp_(value, 1 - decay)
                else:
                    own.get_buffer(name).copy_(value)


def class_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Weight of each class, inverse to its frequency, so that the weights of all labels average 1.

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
    """The images of an epoch, in their order.

    Args:
        positions: (n,) the training images
        labels: (N,) class index of every image
        recipe: with `class_balance` "sampling" each class is drawn as often, with replacement
        random: source of the draws

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
    """At most `count` positions of each class, drawn at random, in their order.

    Args:
        positions: (n,) images
        labels: (N,) class index of every image
    """
    kept: list[np.ndarray] = []
    for label in np.unique(labels[positions]):
        members = positions[labels[positions] == label]
        kept.append(random.permutation(members)[:count])
    return np.sort(np.concatenate(kept)) if kept else positions
