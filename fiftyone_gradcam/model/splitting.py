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

# classes (N,) -> d logit of the class / d target tensor, (N, C, h, w), or (N, C, 1, 1) where it is
# the same at every cell
Gradient = Callable[[torch.Tensor], torch.Tensor]


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

    def run_with_gradient(
        self, module: nn.Module, inputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, Gradient]:
        """The target tensor, the logits, and the gradient of the logit of any class.

        Only the head is differentiated, with respect to the target tensor.
        """
        target, head = self.split(module, inputs)
        target = target.detach()
        # The gradient is then the same at every cell of a channel: that of its mean, over the
        # cells.
        leaf = target.mean((2, 3), keepdim=True) if self.averages else target
        cells = target.shape[2] * target.shape[3] if self.averages else 1
        leaf = leaf.detach().requires_grad_()
        with torch.enable_grad():
            logits = head(leaf)
        return target, logits, gradient_at(leaf, logits, cells)


def gradient_at(leaf: torch.Tensor, logits: torch.Tensor, cells: int = 1) -> Gradient:
    """The function from classes (N,) to the gradient of their logits at a leaf.

    Args:
        leaf: that the logits were computed from
        logits: (N, K)
        cells: how many cells share the gradient
    """

    def gradient(classes: torch.Tensor) -> torch.Tensor:
        one_hot = torch.zeros_like(logits).scatter_(1, classes[:, None], 1.0)
        (found,) = torch.autograd.grad(logits, leaf, one_hot, retain_graph=True)
        return found / cells

    return gradient


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

    def run_with_gradient(
        self, module: nn.Module, inputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, Gradient]:
        """See `Splitter`; by a closed form where the family has one."""
        family = self.backbone.family
        # It is of a last layer alone; with hidden layers before that one autograd is asked.
        if family.gradient is None or isinstance(
            module.get_submodule(family.last_layer), nn.Sequential
        ):
            return super().run_with_gradient(module, inputs)
        target, head = self.split(module, inputs)
        target = target.detach()
        return target, head(target), lambda classes: family.gradient(module, target, classes)


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
