"""A batch of a pass: its pixels on the device, and what its network makes of them, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from ..explain.cam import Forward, in_bfloat16
from ..model.splitting import Splitter


class Classifier(Protocol):
    """What a pass asks of a network; a `Network` has it."""

    module: nn.Module
    splitter: Splitter

    @property
    def device(self) -> torch.device:
        """What it runs on."""

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 images (N, 3, S, S) as it wants them, float32 on its device."""


class Once:
    """A property that is computed once for each object.

    `functools.cached_property` of Python 3.11 holds one lock for all objects while it computes, so
    that batches side by side would wait for each other. A batch belongs to one thread: no lock.
    """

    def __init__(self, compute: Callable[[Any], Any]):
        self.compute, self.__doc__ = compute, compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self.name] = self.compute(instance)
        return value


class Seen:
    """A batch on its device. What is asked of it is computed once, whoever asks.

    Args:
        positions: (n,) int64, which of the images
        frames: (n, 2) int64, width and height of each whole upright image in pixels
        pixels: (n, 3, S, S) uint8, on the device of the network
        network: None of a pass that has none
        splits, explains, cellwise: see `sinks.Sink`; whether any of them does
        reduced: run the network in bfloat16
    """

    def __init__(
        self,
        positions: np.ndarray,
        frames: np.ndarray,
        pixels: torch.Tensor,
        network: Classifier | None,
        splits: bool,
        explains: bool,
        cellwise: bool,
        reduced: bool = False,
    ):
        self.positions, self.frames, self.pixels = positions, frames, pixels
        self.network, self.reduced = network, reduced
        self.splits, self.explains, self.cellwise = splits, explains, cellwise

    @Once
    def inputs(self) -> torch.Tensor:
        """(n, 3, S, S) float32, as the network wants them."""
        return self.network.normalize(self.pixels)

    @Once
    def forward(self) -> Forward:
        """The pass through the network, up to its target tensor and on."""
        network = self.network
        asked = self.explains, self.cellwise, self.reduced
        return Forward(network.module, network.splitter, self.inputs, *asked)

    @Once
    def logits(self) -> torch.Tensor:
        """(n, K) float32."""
        if self.splits:
            return self.forward.logits
        with torch.no_grad(), in_bfloat16(self.inputs.device, self.reduced):
            return self.network.module(self.inputs).float()

    @Once
    def pooled(self) -> torch.Tensor:
        """(n, C) float32: the target tensor averaged over its cells."""
        return self.forward.features.mean((2, 3))
