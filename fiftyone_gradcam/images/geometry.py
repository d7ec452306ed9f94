"""Where the pixels go: from an image to the square that a model sees, and back to the image."""

from __future__ import annotations

import numpy as np
from PIL import Image


def squash(image: Image.Image, size: int) -> np.ndarray:
    """Resize a whole image to size x size pixels, whatever its aspect ratio.

    Nothing is cropped, so that a map of what the model saw covers the whole image again
    (`to_frame`). Antialiased bilinear, as in torchvision's presets.

    Returns:
        uint8 array (size, size, 3)
    """
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(image)


def to_frame(cam: np.ndarray, width: int, height: int) -> np.ndarray:
    """Stretch a map of a squashed image back over the image, smoothly (bicubic).

    Args:
        cam: float array (h, w), the map on the model's grid, in any range
        width, height: pixels of the frame to fill; cell centres are aligned with pixel centres

    Returns:
        float32 array (height, width); bicubic interpolation may overshoot the range of `cam`
    """
    grid = Image.fromarray(np.ascontiguousarray(cam, dtype=np.float32))
    return np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))
