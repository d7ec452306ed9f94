"""Networks whose weights have shapes and no values: built at once, however large."""

from __future__ import annotations

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .backbones import Backbone


class _NoMemory(TorchFunctionMode):
    """Makes weights that have a shape and no values.

    `torch.device("meta")` would do, but some networks work their widths out in tensors.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        place = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **{**(kwargs or {}), **place})


def build_blank(backbone: Backbone, num_classes: int) -> nn.Module:
    """A network of shapes, in eval mode on the device "meta"; nothing is drawn at random.

    Args:
        backbone: a row of the table
        num_classes: number of classes K
    """
    with torch.random.fork_rng(devices=[]), _NoMemory():
        return backbone.build(num_classes).eval().to("meta")
