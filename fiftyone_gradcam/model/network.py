"""A classifier ready for use: a module, what it expects of images, and where it is split."""

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
from .folding import fold_batch_norms
from .nodes import Tokens
from .sound import check_classes, check_logits, check_module, check_pixels, check_tokens, unwrapped
from .splitting import splitter_of


class Network:
    """A classifier of your own, for `predict`, `find_label_issues` and others that take the name of
    a pretrained backbone.

    The module is copied: what is done to it later changes nothing here. It is tried once, so that
    what is wrong with it is said at once. Grad-CAM takes the output of its last module that is a
    map of the image, or of `layer`; of a transformer, the last tokens that the logits depend on.
    The forward is traced by torch.fx, and what follows the layer is differentiated alone; where it
    cannot be traced, a hook at the layer does the same, which is said.

    Args:
        module: from images (N, 3, image_size, image_size), normalized by `mean` and `std`, to
            logits (N, K), for K classes; float32
        classes: names of its K classes, in the order of the logits
        layer: whose output Grad-CAM takes: name of a module, or of a node of the traced forward;
            None finds it
        image_size: side of the square that the network sees, in pixels, at least 8
        mean, std: of pixels in [0, 1], for red, green and blue; by default those of ImageNet
        resize: how an image becomes square: "squash" (the whole image, its aspect ratio lost),
            "crop" (the central square, 7/8 of the shorter side) or "letterbox" (the whole image,
            bars beside it)
        tokens: of a transformer, how many tokens stand before the patches: 1 for a class token; or
            with rows and columns of the patches, if these are not equal: (1, 14, 28)
        name: what it is called in fields and messages; None takes the name of its class

    Attributes:
        module: the copy, in eval mode
        splitter: where its target tensor is taken

    Raises:
        ValueError: if the module cannot be used, or an argument is not understood; it says which
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
        resize: str = "squash",
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
        """Find the layer, and fold batch norms where the target tensor stays what it is."""
        self.module = self._original
        inputs = self.normalize(_trial(self.image_size))
        logits = check_logits(self.module, inputs, len(self.classes), self.image_size)
        self.splitter, self.untraced = find_splitter(self.module, inputs, layer, self._tokens)
        if self.untraced:
            return
        try:
            folded = fold_batch_norms(self.module)
            self.splitter.check(folded)
            with torch.no_grad():
                target, found = self.splitter.run(folded, inputs)
                same = agree(found, logits)
                same = same and agree(target, self.splitter.run(self.module, inputs)[0])
        except Exception:  # of modules that look like a convolution, and are more
            return
        if same:
            self.module = folded

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
        own.name, own.classes = backbone.name, tuple(classes)
        own.image_size, own.resize = image_size, resize
        own.mean, own.std = backbone.mean, backbone.std
        own.splitter = splitter_of(backbone, layer)
        own.splitter.check(own.module)  # before threads ask for it
        own.untraced, own._unread = "", (backbone.family.last_layer,)
        own._architecture = backbone.name
        return own

    def on(self, device: str | torch.device | None = None, layer: str | None = None) -> Network:
        """This network of the user's, copied to a device, and split elsewhere if so asked.

        Args:
            device: such as "cpu" or "cuda"; None picks
            layer: see `Network`; None leaves it where it is

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

    def _how(self) -> str:
        if not self.untraced:
            return "traced by torch.fx; only what follows the layer is differentiated"
        return f"split by a hook and autograd, for it cannot be traced ({self.untraced})"

    def __str__(self) -> str:
        return f"{self.name}, {len(self.classes)} classes, Grad-CAM at layer {self.layer!r}"


def _trial(size: int) -> torch.Tensor:
    """Two images of noise, always the same."""
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, size, size), generator=random, dtype=torch.uint8)
