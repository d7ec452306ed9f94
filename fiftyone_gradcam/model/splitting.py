"""Where a network is cut in two for Grad-CAM: target tensor here, head there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from .backbones import Backbone
from .families import Head
from .nodes import check_layer, split_at

# (target tensor (N, C, h, w), classes (N,)) -> d logit of the class / d target tensor
Gradient = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Splitter(Protocol):
    """A place at which a network is split.

    Attributes:
        layer: where the target tensor stands in the module, for people
        averages: whether the head reads the target tensor by its averages over the cells alone, so
            that head(averages (N, C, 1, 1)) gives the logits too
    """

    layer: str
    averages: bool

    def check(self, module: nn.Module) -> None:
        """Raise a ValueError if a module has no such place."""

    def split(self, module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, Head]:
        """Run a module up to the target tensor (N, C, h, w); return it and the head."""

    def closed_form(self, module: nn.Module) -> Gradient | None:
        """The gradient of a logit at the target tensor, where it needs no backward pass."""


@dataclass(frozen=True)
class BackboneSplitter:
    """At the target tensor of a family of torchvision's networks."""

    backbone: Backbone

    @property
    def layer(self) -> str:
        """See `Splitter`."""
        return self.backbone.family.layer

    @property
    def averages(self) -> bool:
        """See `Splitter`."""
        return self.backbone.family.averages

    def check(self, module: nn.Module) -> None:
        """Every network of a backbone has its target tensor."""

    def split(self, module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, Head]:
        """See `Splitter`."""
        return self.backbone.split(module, inputs)

    def closed_form(self, module: nn.Module) -> Gradient | None:
        """See `Splitter`."""
        family = self.backbone.family
        # It is of a last layer alone; with hidden layers before that one autograd is asked.
        if family.gradient is None or isinstance(
            module.get_submodule(family.last_layer), nn.Sequential
        ):
            return None
        return lambda target, classes: family.gradient(module, target, classes)


@dataclass(frozen=True)
class LayerSplitter:
    """At a layer named by the user, by tracing the forward (see `nodes.split_at`)."""

    layer: str
    tokens_last: bool = False
    averages = False

    def check(self, module: nn.Module) -> None:
        """See `Splitter`."""
        check_layer(module, self.layer)

    def split(self, module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, Head]:
        """See `Splitter`."""
        return split_at(module, self.layer, inputs, self.tokens_last)

    def closed_form(self, module: nn.Module) -> None:
        """None: what follows the layer can be anything."""


def splitter_of(backbone: Backbone, layer: str | None = None) -> Splitter:
    """Where a network of a backbone is split: at its family's target tensor, or a named layer."""
    if layer is None:
        return BackboneSplitter(backbone)
    return LayerSplitter(layer, backbone.family.tokens_last)
