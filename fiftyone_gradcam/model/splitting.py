"""Splitting of networks for Grad-CAM, into a part up to the target tensor and a head."""

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
# classes (N,) -> mean of the gradient over the cells (N, C, 1, 1)
MeanGradient = Callable[[torch.Tensor], torch.Tensor]


class Splitter(ABC):
    """A place at which a network is split.

    Attributes:
        layer: name of the target layer, for people
        averages: whether the head only reads the averages of the target tensor over the cells, so
            that head(averages (N, C, 1, 1)) also returns the logits
    """

    layer: str
    averages: bool = False

    def check(self, module: nn.Module) -> None:  # noqa: B027 (not all have anything to check)
        """Prepare a module to be split here by several threads.

        Raises:
            ValueError: if it has no such place
        """

    @abstractmethod
    def split(self, module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, Head]:
        """Run a module up to the target tensor (N, C, h, w); return it and the head."""

    def run(self, module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the target tensor and the logits."""
        target, head = self.split(module, inputs)
        return target.detach(), head(target.detach())

    def closed_form(self, module: nn.Module) -> Gradient | None:
        """Return the gradient of a logit at the target tensor, if it needs no backward pass."""
        return None

    def mean_gradient(
        self, module: nn.Module, target: torch.Tensor
    ) -> tuple[torch.Tensor, MeanGradient] | None:
        """Return the logits, and a function for the means of their gradients over the cells.

        None if these do not cost less than the gradients themselves.
        """
        return None

    def at_once(
        self, module: nn.Module, inputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the target tensor, a leaf of the graph, and the logits, from one forward pass.

        None if splitting the network and running its head does not need a second forward pass.
        """
        return None


@dataclass(frozen=True)
class BackboneSplitter(Splitter):
    """Splits a torchvision backbone at the target tensor of its family."""

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
        # It applies to a single last layer; with hidden layers before it, autograd is used.
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
    """Splits a network at a named layer, by tracing its forward pass (see `nodes.split_at`)."""

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
    """Return the splitter of a backbone, at its family's target tensor or at a named layer."""
    if layer is None:
        return BackboneSplitter(backbone)
    return TracedSplitter(layer, backbone.family.tokens_last)
