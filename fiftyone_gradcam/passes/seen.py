"""A batch in a pass: its pixels on the device, and lazily computed results of its network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from ..explain.cam import Forward, in_bfloat16
from ..model.splitting import Splitter


class Classifier(Protocol):
    """The interface of networks in a pass; `Network` implements it."""

    module: nn.Module
    splitter: Splitter

    @property
    def device(self) -> torch.device:
        """The device it runs on."""

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """Normalize uint8 images (N, 3, S, S) to float32 on its device."""


class Once:
    """A property that is computed once for each object.

    `functools.cached_property` of Python 3.11 holds one lock for all objects during a computation,
    so that parallel batches would wait for each other. A batch belongs to one thread and needs no
    lock.
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
    """A batch on its device. Its results are computed on first use and shared by all sinks.

    Args:
        positions: (n,) int64, positions of the images
        frames: (n, 2) int64, width and height of each whole upright image in pixels
        pixels: (n, 3, S, S) uint8, on the device of the network
        network: the network, or None in a pass without one
        splits, explains, cellwise: see `sinks.Sink`; whether any of the sinks has them
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
        """(n, 3, S, S) float32, normalized for the network."""
        return self.network.normalize(self.pixels)

    @Once
    def forward(self) -> Forward:
        """The forward pass through the network, split at its target tensor."""
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
        """(n, C) float32, the target tensor averaged over its cells."""
        return self.forward.features.mean((2, 3))
