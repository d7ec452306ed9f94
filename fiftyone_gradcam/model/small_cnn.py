"""A small convolutional network for small images, which trains from scratch in a minute."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn


class SmallCNN(nn.Module):
    """Three double convolutions with batch norm, global average pooling, and a linear layer.

    Only the first two stages are followed by pooling, so that a 32-pixel image has an 8 x 8 map.

    Args:
        num_classes: number of classes K
        widths: channels of the three stages
        dropout: dropout rate of the pooled features, in [0, 1)
    """

    def __init__(
        self,
        num_classes: int,
        widths: tuple[int, int, int] = (32, 64, 128),
        dropout: float = 0.2,
    ):
        super().__init__()
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        channels = 3
        for number, width in enumerate(widths, start=1):
            stages[f"stage{number}"] = nn.Sequential(*_double(channels, width))
            if number < len(widths):
                stages[f"pool{number}"] = nn.MaxPool2d(2)
            channels = width
        self.features = nn.Sequential(stages)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, num_classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, K) of normalized images (N, 3, H, W)."""
        return self.classifier(self.features(images).mean((2, 3)))


def _double(channels: int, width: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inputs in (channels, width):
        layers += [
            nn.Conv2d(inputs, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
    return layers
