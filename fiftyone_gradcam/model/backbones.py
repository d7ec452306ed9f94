"""The table of backbones: every torchvision classifier, and a small network of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torchvision
from torch import nn

from ..similar import did_you_mean
from .families import FAMILIES, Family, Head
from .heads import extend_head
from .small_cnn import SmallCNN

# Those of ImageNet, used by nearly every torchvision classifier; they do not matter for networks
# trained from scratch.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
MIN_IMAGE_SIZE = 16  # pixels


@dataclass(frozen=True)
class Backbone:
    """An entry of the table of backbones.

    Attributes:
        name: torchvision's name of the network
        family_name: the family that defines how it is built and split
        image_size: side of the square images that it was trained on, in pixels
        mean, std: of the pixels in [0, 1] that it expects, for red, green and blue
    """

    name: str
    family_name: str
    image_size: int = 224
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD

    @property
    def family(self) -> Family:
        """The family, which defines how the network is built and split."""
        return FAMILIES[self.family_name]

    @property
    def has_imagenet_weights(self) -> bool:
        """Whether torchvision provides pretrained weights."""
        return self.name != "small_cnn"

    def check_image_size(self, size: int) -> None:
        """Raise a ValueError if the network cannot be built for squares of `size` pixels."""
        if not isinstance(size, int) or isinstance(size, bool) or size < MIN_IMAGE_SIZE:
            raise ValueError(
                f"image_size must be a whole number of at least {MIN_IMAGE_SIZE}, not {size!r}"
            )
        if self.family.size_option and size != self.image_size:
            raise ValueError(
                f"{self.name} only accepts images of {self.image_size} pixels, not "
                f"image_size={size!r}"
            )

    def build(
        self, num_classes: int, hidden: Sequence[int] = (), dropout: float | None = None
    ) -> nn.Module:
        """Build the network with random weights and new layers for `num_classes` classes.

        Args:
            num_classes: number of classes K
            hidden: widths of hidden layers before the last one, each with ReLU
            dropout: rate before the last layer and after each hidden layer; None keeps the
                network's own dropout, and adds none after hidden layers
        """
        if self.name == "small_cnn":
            model = SmallCNN(num_classes)
        else:
            options = dict(self.family.options)
            if self.family.size_option == "image_size":
                options["image_size"] = self.image_size
            elif self.family.size_option == "input_size":
                options["input_size"] = (self.image_size, self.image_size)
            model = torchvision.models.get_model(
                self.name, weights=None, num_classes=num_classes, **options
            )
        extend_head(model, self.family.last_layer, hidden, dropout)
        return model

    def split(self, model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
        """Run a network up to its target tensor.

        Args:
            model: a network of this backbone
            images: normalized images (N, 3, H, W)

        Returns:
            the target tensor (N, C, h, w), and the head: a function from it to logits (N, K)
        """
        return self.family.split(model, images)

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """Normalize images (N, 3, H, W) in [0, 255] to the float32 input of this backbone."""
        return normalize(images, self.mean, self.std)


def normalize(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Normalize images (N, 3, H, W) in [0, 255] to float32, on their device.

    Args:
        images: of any numeric dtype
        mean, std: of pixels in [0, 1], for red, green and blue
    """
    middle = torch.tensor(mean, device=images.device).view(1, 3, 1, 1)
    scale = 1 / torch.tensor(std, device=images.device).view(1, 3, 1, 1)
    # A single pass over the pixels, whereas (images - mean) / std takes two.
    return torch.addcmul(-middle * scale, images.float(), scale / 255)


def _rows(family: str, names: str, **options) -> list[Backbone]:
    return [Backbone(name, family, **options) for name in names.split()]


_TABLE = [
    *_rows("resnet", "resnet18 resnet34 resnet50 resnet101 resnet152"),
    *_rows("resnet", "resnext50_32x4d resnext101_32x8d resnext101_64x4d"),
    *_rows("resnet", "wide_resnet50_2 wide_resnet101_2"),
    *_rows("regnet", "regnet_x_400mf regnet_x_800mf regnet_x_1_6gf regnet_x_3_2gf"),
    *_rows("regnet", "regnet_x_8gf regnet_x_16gf regnet_x_32gf"),
    *_rows("regnet", "regnet_y_400mf regnet_y_800mf regnet_y_1_6gf regnet_y_3_2gf"),
    *_rows("regnet", "regnet_y_8gf regnet_y_16gf regnet_y_32gf"),
    *_rows("regnet", "regnet_y_128gf", image_size=384),
    *_rows("squeezenet", "squeezenet1_0 squeezenet1_1"),
    *_rows("mobilenet_v2", "mobilenet_v2"),
    *_rows("mobilenet_v3", "mobilenet_v3_small mobilenet_v3_large"),
    *_rows("mnasnet", "mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3"),
    *_rows("shufflenet_v2", "shufflenet_v2_x0_5 shufflenet_v2_x1_0"),
    *_rows("shufflenet_v2", "shufflenet_v2_x1_5 shufflenet_v2_x2_0"),
    *_rows("efficientnet", "efficientnet_b0"),
    *_rows("efficientnet", "efficientnet_b1", image_size=240),
    *_rows("efficientnet", "efficientnet_b2", image_size=288),
    *_rows("efficientnet", "efficientnet_b3", image_size=300),
    *_rows("efficientnet", "efficientnet_b4", image_size=380),
    *_rows("efficientnet", "efficientnet_b5", image_size=456),
    *_rows("efficientnet", "efficientnet_b6", image_size=528),
    *_rows("efficientnet", "efficientnet_b7", image_size=600),
    *_rows("efficientnet", "efficientnet_v2_s", image_size=384),
    *_rows("efficientnet", "efficientnet_v2_m", image_size=480),
    *_rows("efficientnet", "efficientnet_v2_l", image_size=480, mean=(0.5,) * 3, std=(0.5,) * 3),
    *_rows("densenet", "densenet121 densenet161 densenet169 densenet201"),
    *_rows("googlenet", "googlenet"),
    *_rows("inception_v3", "inception_v3", image_size=299),
    *_rows("convnext", "convnext_tiny convnext_small convnext_base convnext_large"),
    *_rows("swin", "swin_t swin_s swin_b"),
    *_rows("swin", "swin_v2_t swin_v2_s swin_v2_b", image_size=256),
    *_rows("maxvit", "maxvit_t"),
    *_rows("vit", "vit_b_16 vit_b_32 vit_l_16 vit_l_32"),
    *_rows("vit", "vit_h_14", image_size=518),
    *_rows("vgg", "vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn"),
    *_rows("alexnet", "alexnet"),
    *_rows("small_cnn", "small_cnn", image_size=32),
]
BACKBONES = {row.name: row for row in _TABLE}


def get_backbone(name: str) -> Backbone:
    """Return the backbone with a given name.

    Raises:
        ValueError: if there is no such backbone; the message names the most similar, and lists all
    """
    try:
        return BACKBONES[name]
    except (KeyError, TypeError):
        raise ValueError(
            f"Unknown backbone {name!r}. {did_you_mean(name, BACKBONES)}"
            f"Choose one of: {', '.join(BACKBONES)}"
        ) from None
