"""Augmentation of whole batches, each image by its own chance."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .recipe import Recipe


def augment(images: torch.Tensor, recipe: Recipe, random: np.random.Generator) -> torch.Tensor:
    """Mirror, zoom and shift images as the recipe allows, in one resampling.

    Args:
        images: uint8 (N, 3, S, S)
        recipe: `horizontal_flip` mirrors half of the images; `zoom` enlarges by a factor drawn
            from [1, 1 + zoom] in area; `translation` shifts by up to this share of the side,
            beyond what the zoom already moves
        random: source of the draws

    Returns:
        uint8 (N, 3, S, S) if nothing is resampled, else float32 in [0, 255]
    """
    count = len(images)
    mirrored = random.random(count) < 0.5 if recipe.horizontal_flip else np.zeros(count, bool)
    if not (recipe.zoom or recipe.translation):
        images = images.clone(memory_format=torch.preserve_format)
        images[torch.from_numpy(mirrored)] = images[torch.from_numpy(mirrored)].flip(3)
        return images
    # A window of side `side` (in units of the image) is drawn, and stretched over the whole.
    side = 1.0 / np.sqrt(random.uniform(1.0, 1.0 + recipe.zoom, count))
    reach = (1.0 - side) + 2.0 * recipe.translation
    centre_x, centre_y = (random.uniform(-1.0, 1.0, count) * reach for _ in range(2))
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0] = np.where(mirrored, -side, side)
    theta[:, 1, 1] = side
    theta[:, 0, 2], theta[:, 1, 2] = centre_x, centre_y
    grid = F.affine_grid(torch.from_numpy(theta), list(images.shape), align_corners=False)
    return F.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
