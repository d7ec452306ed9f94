"""Classifiers that no table of backbones has, small and with random weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

SIZE, CLASSES = 32, ["digit 0", "digit 1", "digit 2"]


def seeded(kind, *arguments) -> nn.Module:
    """A module in eval mode, always with the same weights and batch statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = kind(*arguments)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.uniform_(part.running_mean, -0.5, 0.5)
                nn.init.uniform_(part.running_var, 0.5, 2)
    return module.eval()


def sequential() -> nn.Module:
    """Convolutions, pooled and flattened; a batch norm after the first."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, len(CLASSES))),
    )


class Functions(nn.Module):
    """Its activations are calls in the forward, as in many tutorials."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 12, 3, 2, 1)
        self.last = nn.Linear(12 * 16, len(CLASSES))

    def forward(self, x):
        x = functional.relu(self.first(x))
        x = functional.relu(self.second(x))
        return self.last(functional.max_pool2d(x, 2).flatten(1))


class Loop(nn.Module):
    """Repeats a block as often as the values ask for: it cannot be traced."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.last = nn.Linear(32, len(CLASSES))

    def forward(self, x):
        x, count = self.stem(x), 0
        while count < 2 or (x.abs().mean() > 1e3 and count < 9):
            x, count = self.block(x), count + 1
        return self.last(self.pool(x).relu_().flatten(1))


class RowsLast(nn.Module):
    """Its tensors are (N, h, w, C), as in Swin."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 8, 8)
        self.norm = nn.LayerNorm(8)
        self.last = nn.Linear(8, len(CLASSES))

    def forward(self, x):
        x = self.norm(self.stem(x).permute(0, 2, 3, 1))
        return self.last((x * x).mean((1, 2)))


class Block(nn.Module):
    """A block of a vision transformer as timm writes it."""

    def __init__(self, width: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.keys = nn.Identity()
        self.out, self.mlp = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        size, count, width = x.shape
        parts = self.attention(self.norm1(x)).reshape(size, count, 3, 2, width // 2)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(q, self.keys(k), v)
        x = x + self.out(mixed.transpose(1, 2).reshape(size, count, width))
        return x + self.mlp(self.norm2(x)).relu()


class Tokens(nn.Module):
    """A vision transformer whose head reads the class token alone, with a register beside it."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 8, 8)
        self.before = nn.Parameter(torch.randn(1, 2, 12))
        self.blocks = nn.Sequential(Block(12), Block(12))
        self.norm, self.last = nn.LayerNorm(12), nn.Linear(12, len(CLASSES))

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = self.blocks(torch.cat([self.before.expand(x.shape[0], -1, -1), x], 1))
        return self.last(self.norm(x)[:, 0])
