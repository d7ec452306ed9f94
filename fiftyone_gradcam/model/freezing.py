"""Which part of a network learns, and which keeps its weights: stages."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

from .backbones import Backbone
from .recipe import Recipe

# Containers whose children are stages; other children of a network are stages themselves.
_CONTAINERS = {
    *("features", "layers", "trunk_output", "blocks"),
    *("encoder", "encoder.layers", "classifier", "heads"),
}
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def stages(model: nn.Module, last_layer: str) -> dict[str, list[str]]:
    """The stages of a network in the order from image to logits, without its last layer.

    A stage is a block with weights: a child of the network, or of its container of blocks. A norm
    belongs to the stage before it, and weights of the network itself (as a class token) to the
    first.

    Args:
        model: a network of the table
        last_layer: name of the layer that makes the logits

    Returns:
        names of the weights of each stage, by the name of the stage
    """
    found: dict[str, list[str]] = {}
    loose: list[str] = []
    for name, module in _blocks(model, ""):
        weights = [f"{name}.{key}" for key, _ in module.named_parameters()]
        if not weights or name == last_layer:
            continue
        if isinstance(module, _NORMS) and found:
            found[list(found)[-1]] += weights
        else:
            found[name] = weights
    placed = {key for keys in found.values() for key in keys}
    for key, _ in model.named_parameters():
        if key not in placed and not key.startswith(last_layer + "."):
            loose.append(key)
    if found:
        found[next(iter(found))] += loose
    return found


def _blocks(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        full = f"{path}{name}"
        if full in _CONTAINERS and any(True for _ in child.children()):
            yield from _blocks(child, f"{full}.")
        else:
            yield full, child


class Freezer:
    """Keeps the first stages of a network as they are: their weights and batch statistics.

    Args:
        model: the network, its new layers in place
        backbone: what it is
        recipe: its `freeze` and `gradual_unfreezing`

    Raises:
        ValueError: if more stages are to be frozen than there are
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
        """How many stages are frozen in an epoch, counted from 1."""
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
            # Also what draws at random within a frozen part (as stochastic depth) keeps still.
            if own and not any(weight.requires_grad for weight in own):
                module.eval()
