"""Where a network is cut in two for Grad-CAM: target tensor here, head there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from .backbones import Backbone
from .families import Head
from .nodes import Tokens, check_layer, split_at

# (target tensor (N, C, h, w), classes (N,)) -> d logit of the class / d target tensor
Gradient = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
# classes (N,) -> its mean over the cells (N, C, 1, 1)
MeanGradient = Callable[[torch.Tensor], torch.Tensor]


class Splitter(ABC):
    """A place at which a network is split.

    Attributes:
        layer: where the target tensor stands in the module, for people
        averages: whether the head reads the target tensor by its averages over the cells alone, so
            that head(averages (N, C, 1, 1)) gives the logits too
    """

    layer: str
    averages: bool = False

    def check(self, module: nn.Module) -> None:  # noqa: B027 (not all have anything to check)
        """Make a module ready to be split here by several threads.

        Raises:
            ValueError: if it has no such place
        """

    @abstractmethod
    def split(self, module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, Head]:
        """Run a module up to the target tensor (N, C, h, w); return it and the head."""

    def run(self, module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The target tensor and the logits."""
        target, head = self.split(module, inputs)
        return target.detach(), head(target.detach())

    def closed_form(self, module: nn.Module) -> Gradient | None:
        """The gradient of a logit at the target tensor, where it needs no backward pass."""
        return None

    def mean_gradient(
        self, module: nn.Module, target: torch.Tensor
    ) -> tuple[torch.Tensor, MeanGradient] | None:
        """The logits, and the means of their gradients over the cells of the target tensor, where
        these cost less than the gradients themselves."""
        return None

    def at_once(
        self, module: nn.Module, inputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The target tensor as a leaf of a graph, and the logits that end it, from one forward;
        None where it takes no second one to split the network and to run its head."""
        return None


@dataclass(frozen=True)
class BackboneSplitter(Splitter):
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

    def mean_gradient(
        self, module: nn.Module, target: torch.Tensor
    ) -> tuple[torch.Tensor, MeanGradient] | None:
        """See `Splitter`."""
        family = self.backbone.family
        return family.mean_gradient and family.mean_gradient(module, target)


@dataclass(frozen=True)
class TracedSplitter(Splitter):
    """At a named layer, by tracing the forward (see `nodes.split_at`)."""

    layer: str
    tokens_last: bool = False
    tokens: Tokens | None = None

    def check(self, module: nn.Module) -> None:
        """See `Splitter`."""
        check_layer(module, self.layer)

    def split(self, module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, Head]:
        """See `Splitter`."""
        return split_at(module, self.layer, inputs, self.tokens_last, self.tokens)


def splitter_of(backbone: Backbone, layer: str | None = None) -> Splitter:
    """Where a network of a backbone is split: at its family's target tensor, or a named layer."""
    if layer is None:
        return BackboneSplitter(backbone)
    return TracedSplitter(layer, backbone.family.tokens_last)
