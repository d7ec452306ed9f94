"""A classifier that is ready for use: a module, its expected images, and its target layer."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import nn

from ..images.geometry import check_resize
from .backbones import MEAN, STD, Backbone, normalize
from .device import pick_device
from .families import Head
from .finding import agree, find_splitter
from .folding import fold_and_fuse, fold_batch_norms
from .nodes import Tokens
from .sound import check_classes, check_logits, check_module, check_pixels, check_tokens, unwrapped
from .splitting import splitter_of


class Network:
    """A classifier of your own, for use with `predict`, `find_label_issues` and others.

    Pass it where these functions accept the name of a pretrained backbone. The module is copied, so
    later changes to it have no effect, and it is run once to detect errors early. By default, the
    target layer of Grad-CAM is the last module whose output is a spatial map, or, in a transformer,
    the last tokens that the logits depend on. The forward pass is traced by torch.fx, so that only
    the part after the target layer is differentiated. If it cannot be traced, a hook at the layer
    is used instead, and a message says so.

    Args:
        module: maps images (N, 3, image_size, image_size), normalized by `mean` and `std`, to
            logits (N, K), for K classes; float32
        classes: names of the K classes, in the order of the logits
        layer: target layer of Grad-CAM: the name of a module, or of a node of the traced forward
            pass; by default (None), it is found automatically
        image_size: side of the square input, in pixels, at least 8
        mean, std: mean and standard deviation of pixels in [0, 1], for red, green and blue; by
            default, those of ImageNet
        resize: how images are resized: "crop" (the central square, 7/8 of the shorter side, as in
            torchvision's presets), "squash" (the whole image, without keeping its aspect ratio) or
            "letterbox" (the whole image, with padding)
        tokens: for a transformer, the number of tokens before the patches, such as 1 for a class
            token; if the numbers of rows and columns of patches differ, also these, such as (1, 14,
            28)
        name: name of the network in fields and messages; by default (None), the name of its class

    Attributes:
        module: the copy, in eval mode
        splitter: splits the network at the target layer

    Raises:
        ValueError: if the module cannot be used or an argument is invalid; the message says which
    """

    def __init__(
        self,
        module: nn.Module,
        classes: Sequence[str],
        layer: str | None = None,
        *,
        image_size: int = 224,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        resize: str = "crop",
        tokens: int | Sequence[int] | None = None,
        name: str | None = None,
    ):
        module = unwrapped(module)
        check_module(module)
        check_pixels(image_size, mean, std)
        check_resize(resize)
        self.name = type(module).__name__ if name is None else str(name)
        self.classes = check_classes(classes)
        self.image_size, self.resize = image_size, resize
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        self._tokens: Tokens | None = check_tokens(tokens)
        self.untraced, self._unread, self._architecture = "", (), str(module)
        try:
            self._original = copy.deepcopy(module).eval()
        except Exception as error:
            raise ValueError(f"The module {self.name} cannot be copied ({error})") from error
        self._split_at(layer)
        print(f"{self}: {self._how()}")

    def _split_at(self, layer: str | None) -> None:
        """Find the target layer, and fold and fuse what does not change the target tensor."""
        self.module = self._original
        inputs = self.normalize(_trial(self.image_size))
        logits = check_logits(self.module, inputs, len(self.classes), self.image_size)
        self.splitter, self.untraced = find_splitter(self.module, inputs, layer, self._tokens)
        if self.untraced:
            return
        with torch.no_grad():
            target, _ = self.splitter.run(self.module, inputs)
        for faster in (fold_and_fuse, fold_batch_norms):
            try:
                found = faster(self.module)
                self.splitter.check(found)
                with torch.no_grad():
                    own = self.splitter.run(found, inputs)
            except Exception:  # from custom modules that only look like a convolution
                continue
            if agree(own[0], target) and agree(own[1], logits):
                self.module = found
                return

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
        """Make a network from a torchvision backbone, copied to a device for evaluation.

        Its batch norms are folded into the preceding convolutions, and so are activations on a CPU,
        unless `layer` is given, because this could change the output of that layer.

        Args:
            backbone: a row of the table of backbones
            module: a network of this backbone
            classes: names of the classes
            image_size, resize: size of the square input in pixels, and how images are resized
            device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
            layer: target layer of Grad-CAM; by default (None), that of the backbone

        Raises:
            ValueError: if there is no such layer or device
        """
        device = pick_device(device)
        if layer is None:
            faster = fold_and_fuse if device.type == "cpu" else fold_batch_norms
            module = faster(module)
        own = cls.__new__(cls)
        own.module = module.eval().to(device, memory_format=torch.channels_last)
        own.name, own.classes = backbone.name, tuple(classes)
        own.image_size, own.resize = image_size, resize
        own.mean, own.std = backbone.mean, backbone.std
        own.splitter = splitter_of(backbone, layer)
        own.splitter.check(own.module)  # before threads use it
        own.untraced, own._unread = "", (backbone.family.last_layer,)
        own._architecture = backbone.name
        return own

    def on(self, device: str | torch.device | None = None, layer: str | None = None) -> Network:
        """Return a copy of this network on a device, optionally with another target layer.

        Args:
            device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
            layer: target layer of Grad-CAM; by default (None), the current one

        Raises:
            ValueError: if there is no such layer or device
        """
        device = pick_device(device)
        own = copy.copy(self)
        own.__dict__.pop("device", None)
        own.__dict__.pop("digest", None)
        if layer is not None:
            own._split_at(layer)
        own.module = copy.deepcopy(own.module)
        own.module = own.module.to(device, memory_format=torch.channels_last)
        own.splitter.check(own.module)
        return own

    @property
    def layer(self) -> str:
        """The target layer of Grad-CAM."""
        return self.splitter.layer

    @cached_property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next((x.device for x in self.module.parameters()), torch.device("cpu"))

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """Normalize uint8 images (N, 3, S, S) to float32 on the network's device."""
        return normalize(images.to(self.device), self.mean, self.std)

    def split(self, inputs: torch.Tensor) -> tuple[torch.Tensor, Head]:
        """Run the network up to its target tensor.

        Args:
            inputs: normalized images (N, 3, S, S) on the network's device

        Returns:
            the target tensor (N, C, h, w), and the head: a differentiable function from the target
            tensor to logits (N, K)
        """
        return self.splitter.split(self.module, inputs)

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Compute logits (N, K) of normalized images (N, 3, S, S) on the network's device."""
        return self.module(inputs)

    @cached_property
    def digest(self) -> str:
        """A digest that identifies the target tensor.

        Two networks have the same digest if they resize and normalize images alike and compute the
        same target tensor. The last layer of a torchvision backbone does not count.
        """
        found = hashlib.sha256()
        seen = (self._architecture, self.image_size, self.resize, self.mean, self.std, self.layer)
        found.update(repr(seen).encode())
        for name, tensor in sorted(self.module.state_dict().items()):
            if any(name.startswith(f"{part}.") for part in self._unread):
                continue
            found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            found.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
        return found.hexdigest()

    def _how(self) -> str:
        if not self.untraced:
            return "traced by torch.fx; only the part after the layer is differentiated"
        return f"split by a hook and autograd, because it cannot be traced ({self.untraced})"

    def __str__(self) -> str:
        return f"{self.name}, {len(self.classes)} classes, Grad-CAM at layer {self.layer!r}"


def _trial(size: int) -> torch.Tensor:
    """Two images of fixed random noise (2, 3, size, size)."""
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, size, size), generator=random, dtype=torch.uint8)
