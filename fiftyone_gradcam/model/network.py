"""A classifier ready for use: a module, what it expects of images, and where it is split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import nn

from .backbones import Backbone, normalize
from .device import pick_device
from .families import Head
from .folding import fold_batch_norms
from .splitting import Splitter, splitter_of


class Network:
    """A classifier on a device: from uint8 images to logits, and to its target tensor.

    Attributes:
        module: in eval mode
        classes: names of the classes, in the order of the logits
        image_size: side of the square that it sees, in pixels
        mean, std: of pixels in [0, 1], for red, green and blue
        resize: how an image becomes square: "crop", "squash" or "letterbox"
        splitter: where its target tensor is taken
    """

    module: nn.Module
    classes: tuple[str, ...]
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: str
    splitter: Splitter

    @classmethod
    def of_backbone(
        cls,
        backbone: Backbone,
        module: nn.Module,
        classes: Sequence[str],
        image_size: int,
        resize: str,
        device: str | torch.device | None = None,
        layer: str | None = None,
    ) -> Network:
        """A network of the table of backbones, copied to a device for evaluation.

        Its batch norms are folded into the convolutions before them, unless `layer` is given:
        a layer of the user's would no longer be what it was.

        Args:
            backbone: a row of the table
            module: a network of this backbone
            classes: names of its classes
            image_size, resize: what it is shown
            device: such as "cpu" or "cuda"; None picks
            layer: where the target tensor is taken; None takes the family's

        Raises:
            ValueError: if there is no such layer or device
        """
        device = pick_device(device)
        if layer is None:
            module = fold_batch_norms(module)
        own = cls.__new__(cls)
        own.module = module.eval().to(device, memory_format=torch.channels_last)
        own.classes, own.image_size, own.resize = tuple(classes), image_size, resize
        own.mean, own.std = backbone.mean, backbone.std
        own.splitter = splitter_of(backbone, layer)
        own.splitter.check(own.module)  # before threads ask for it
        own._unread = (backbone.family.last_layer,)
        own._architecture = backbone.name
        return own

    @property
    def layer(self) -> str:
        """Where the target tensor is taken."""
        return self.splitter.layer

    @cached_property
    def device(self) -> torch.device:
        """What it runs on."""
        return next((x.device for x in self.module.parameters()), torch.device("cpu"))

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 images (N, 3, S, S) as this network wants them, float32 on its device."""
        return normalize(images.to(self.device), self.mean, self.std)

    def split(self, inputs: torch.Tensor) -> tuple[torch.Tensor, Head]:
        """Run the network up to its target tensor.

        Args:
            inputs: normalized images (N, 3, S, S) on its device

        Returns:
            the target tensor (N, C, h, w), and the head: the differentiable function from it to
            logits (N, K)
        """
        return self.splitter.split(self.module, inputs)

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) of normalized images (N, 3, S, S) on its device."""
        return self.module(inputs)

    @cached_property
    def digest(self) -> str:
        """Tells target tensors apart: equal for networks that see an image alike and make the same
        of it up to the target tensor; what a network of the table makes of that is left out."""
        found = hashlib.sha256()
        seen = (self._architecture, self.image_size, self.resize, self.mean, self.std, self.layer)
        found.update(repr(seen).encode())
        for name, tensor in sorted(self.module.state_dict().items()):
            if any(name.startswith(f"{part}.") for part in self._unread):
                continue
            found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            found.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
        return found.hexdigest()

    def __str__(self) -> str:
        return f"{self._architecture}, {len(self.classes)} classes, layer {self.layer!r}"
