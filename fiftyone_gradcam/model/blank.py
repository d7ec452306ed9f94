"""Networks without values of their own, which are built instantly regardless of their size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .backbones import Backbone


class _NoMemory(TorchFunctionMode):
    """Creates weights without values.

    `torch.device("meta")` alone is not sufficient, because some networks compute widths with
    tensors.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        place = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **{**(kwargs or {}), **place})


def build_blank(
    backbone: Backbone, num_classes: int, hidden: Sequence[int] = (), dropout: float | None = None
) -> nn.Module:
    """Return a network without values, in eval mode on the device "meta".

    Args:
        backbone: an entry of the table of backbones
        num_classes: number of classes K
        hidden, dropout: see `Backbone.build`
    """
    with torch.random.fork_rng(devices=[]), _NoMemory():
        return backbone.build(num_classes, hidden, dropout).eval().to("meta")


def build_unset(
    backbone: Backbone, num_classes: int, hidden: Sequence[int] = (), dropout: float | None = None
) -> nn.Module:
    """Return a network in eval mode on the CPU for weights that are loaded completely.

    Its weights are whatever its memory holds: random ones, which would be replaced, take up to
    four seconds (Swin and ViT). Counts and means of batch norms are as in a new network, because
    files of earlier versions of PyTorch have no counts.

    Args:
        backbone, num_classes, hidden, dropout: see `build_blank`
    """
    model = build_blank(backbone, num_classes, hidden, dropout).to_empty(device="cpu")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    return model
