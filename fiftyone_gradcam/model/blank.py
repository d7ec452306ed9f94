"""Networks with shapes but without values, which are built instantly regardless of their size."""

from __future__ import annotations

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


def build_blank(backbone: Backbone, num_classes: int) -> nn.Module:
    """Return a network without values, in eval mode on the device "meta".

    Args:
        backbone: an entry of the table of backbones
        num_classes: number of classes K
    """
    with torch.random.fork_rng(devices=[]), _NoMemory():
        return backbone.build(num_classes).eval().to("meta")
