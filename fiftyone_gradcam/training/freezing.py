"""Freezing: which stages of a network are trained, and which keep their weights."""

from __future__ import annotations

import math

from torch import nn

from ..model.backbones import Backbone
from ..model.stages import stages
from .recipe import Recipe


class Freezer:
    """Freezes the first stages of a network: their weights and batch statistics.

    Args:
        model: the network, including its new layers
        backbone: the architecture of the network
        recipe: its `freeze` and `gradual_unfreezing` are used

    Raises:
        ValueError: if `freeze` is greater than the number of stages
    """

    def __init__(self, model: nn.Module, backbone: Backbone, recipe: Recipe):
        self.model, self.recipe = model, recipe
        self.stages = stages(model, backbone.family.last_layer)
        count = {"none": 0, "backbone": len(self.stages)}.get(recipe.freeze, recipe.freeze)
        if count > len(self.stages):
            raise ValueError(
                f"freeze={count} is more than the {len(self.stages)} stages of {backbone.name}: "
                f"{', '.join(self.stages)}. freeze='backbone' freezes them all"
            )
        self.least = count

    def frozen(self, epoch: int) -> int:
        """Return the number of frozen stages in an epoch, counted from 1."""
        total, epochs = len(self.stages), self.recipe.epochs
        if not self.recipe.gradual_unfreezing or epochs == 1:
            return self.least
        left = 1 - (epoch - 1) / (epochs - 1)
        return self.least + math.ceil((total - self.least) * max(left, 0.0))

    def train(self, count: int) -> None:
        """Put the network into training mode with its first `count` stages frozen."""
        self.model.train()
        frozen = {key for keys in list(self.stages.values())[:count] for key in keys}
        for key, weight in self.model.named_parameters():
            weight.requires_grad_(key not in frozen)
        for module in self.model.modules():
            own = list(module.parameters())
            # This also disables random layers within a frozen part, such as stochastic depth.
            if own and not any(weight.requires_grad for weight in own):
                module.eval()
