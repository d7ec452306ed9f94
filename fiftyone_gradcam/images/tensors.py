"""Resizing of decoded images on any device, like `geometry.to_square` with Pillow."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from .geometry import PAD_COLOR, letterbox_size, seen_box

SIZES_KEPT = 32  # weights of 224 x 500 pixels take 0.4 MB


class ToSquare:
    """Resizes images to squares, antialiased bilinear.

    The results differ from those of `geometry.to_square` by at most 2 of 255 levels where Pillow
    resizes in one step. It reduces very large images in two, which is a little softer.

    The weights of a few image sizes are kept on the device, where memory belongs to one stream:
    each pass needs its own object.

    Args:
        size: side of the square, in pixels
        resize: see `geometry.seen_box`
    """

    def __init__(self, size: int, resize: str = "squash"):
        self.size, self.resize = size, resize
        self._weights = lru_cache(maxsize=SIZES_KEPT)(_weights)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Resize an image.

        Args:
            image: (3, height, width) uint8, upright RGB

        Returns:
            (size, size, 3) uint8, on the same device
        """
        size, (height, width) = self.size, image.shape[1:]
        if self.resize == "letterbox":
            across, down = letterbox_size(width, height, size)
            square = torch.tensor(PAD_COLOR, dtype=torch.uint8, device=image.device)
            square = square.expand(size, size, 3).clone()
            left, top = (size - across) // 2, (size - down) // 2
            inner = self._resized(image, across, down, (0.0, width), (0.0, height))
            square[top : top + down, left : left + across] = inner
            return square
        left, top, right, bottom = seen_box(self.resize, width, height)
        x, y = (left * width, right * width), (top * height, bottom * height)
        return self._resized(image, size, size, x, y)

    def _resized(
        self,
        image: torch.Tensor,
        across: int,
        down: int,
        x: tuple[float, float],
        y: tuple[float, float],
    ) -> torch.Tensor:
        """Resize the part between x and y (in pixels) of an image to (down, across, 3) uint8."""
        height, width = image.shape[1:]
        columns = self._weights(width, across, *x, image.device)
        rows = self._weights(height, down, *y, image.device)
        values = rows @ (image.float() @ columns.T)
        return values.round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0)


def _weights(
    length: int, count: int, start: float, end: float, device: torch.device
) -> torch.Tensor:
    """Return (count, length) weights by which pixels between start and end become `count` pixels.

    The filter is a triangle as wide as two new pixels, or two old ones if these are larger.
    """
    scale = (end - start) / count
    support = max(scale, 1.0)
    centers = start + (np.arange(count) + 0.5) * scale
    distances = np.abs(np.arange(length) + 0.5 - centers[:, None]) / support
    weights = np.maximum(0.0, 1.0 - distances)
    weights /= weights.sum(1, keepdims=True)
    return torch.from_numpy(weights.astype(np.float32)).to(device)
