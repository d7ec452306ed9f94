"""New layers of a network: dropout, hidden layers, and the last layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


def extend_head(
    model: nn.Module, last_layer: str, hidden: Sequence[int] = (), dropout: float | None = None
) -> None:
    """Insert dropout and hidden layers before the last layer of a network, in place.

    Without either, the network stays as built by torchvision, including the names of its weights.

    Args:
        model: a network whose logits are computed by a linear layer or a 1 x 1 convolution
        last_layer: name of this layer
        hidden: widths of the hidden layers, each with ReLU
        dropout: rate before the last layer and after each hidden layer; None keeps the network's
            own dropout, and adds none after hidden layers
    """
    own = dropout_before(model, last_layer)
    if dropout is not None and own is not None:
        own.p = dropout
    parts: list[nn.Module] = [nn.Dropout(dropout)] if dropout and own is None else []
    last = model.get_submodule(last_layer)
    is_conv = isinstance(last, nn.Conv2d)
    width = last.in_channels if is_conv else last.in_features
    outputs = last.out_channels if is_conv else last.out_features
    for wanted in hidden:
        parts += [_layer(is_conv, width, wanted), nn.ReLU(inplace=True)]
        parts += [nn.Dropout(dropout)] if dropout else []
        width = wanted
    if not parts:
        return
    # Without hidden layers, the last layer keeps torchvision's initialization.
    parts.append(_layer(is_conv, width, outputs) if hidden else last)
    path, _, name = last_layer.rpartition(".")
    setattr(model.get_submodule(path), name, nn.Sequential(*parts))


def _layer(is_conv: bool, inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 1) if is_conv else nn.Linear(inputs, outputs)


def dropout_before(model: nn.Module, last_layer: str) -> nn.Dropout | None:
    """Return the dropout directly before the last layer; None if there is none."""
    path, _, name = last_layer.rpartition(".")
    siblings = list(model.get_submodule(path).named_children())
    place = [key for key, _ in siblings].index(name)
    before = siblings[place - 1][1] if place else None
    return before if isinstance(before, nn.Dropout) else None


def new_layers(model: nn.Module, last_layer: str, after: Sequence[str] = ()) -> nn.Sequential:
    """Return the layers that are never pretrained, as a function from features to logits.

    They are the dropout, the last layer (with hidden layers), and the layers after it. Weights are
    shared with the network. 1 x 1 convolutions are computed as linear layers (see `Pointwise`).

    Args:
        model: the network
        last_layer: name of the layer that computes the logits
        after: names of the modules between it and the logits
    """
    dropout = dropout_before(model, last_layer)
    parts = [dropout] if dropout is not None else []
    last = model.get_submodule(last_layer)
    if not any(isinstance(module, nn.Conv2d) for module in last.modules()):
        parts.append(nn.Flatten(1))  # Inception applies dropout before flattening
    own = last if isinstance(last, nn.Sequential) else [last]
    parts += [Pointwise(part) if isinstance(part, nn.Conv2d) else part for part in own]
    parts += [model.get_submodule(name) for name in after]
    return nn.Sequential(*parts, nn.Flatten(1))


class Pointwise(nn.Module):
    """A 1 x 1 convolution, computed as a linear layer over the channels of each cell.

    This is faster than the convolution for few outputs, and inputs in the memory layout
    `torch.channels_last`.

    Args:
        conv: the convolution, whose weights are shared
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.conv = conv

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute outputs (N, K, H, W) from inputs (N, C, H, W)."""
        cells = x.permute(0, 2, 3, 1)
        return F.linear(cells, self.conv.weight.flatten(1), self.conv.bias).permute(0, 3, 1, 2)
