"""Augmentation of whole batches: every image gets draws of its own.

The random transforms of torchvision.transforms.v2 draw once for a whole batch, and calling them
image by image resamples once for each of them; so only its deterministic functions are used here.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as V

from ..model.backbones import get_backbone
from .recipe import Recipe

LONGEST_ASPECT = 4 / 3  # of random crops, as usual for ImageNet (Szegedy et al., arXiv 1409.4842)
# Bilinear sampling takes in two pixels: steps of up to this many pixels alias hardly at all (about
# 2 of 255 in photos), and are not worth the blur of a filter.
FINE_STEP = 1.5
# The displacements of Simard et al. (ICDAR 2003): noise, smoothed by 4 cells of 29 on a side.
ELASTIC_CELLS, ELASTIC_SMOOTHING = 29, 4.0


def augment(images: torch.Tensor, recipe: Recipe, random: np.random.Generator) -> torch.Tensor:
    """Change images at random as a recipe allows (see "Augmentation" of `Recipe`), but for mixup.

    What moves pixels is done first, in one resampling: a random crop, mirrored, then changed in
    size, turned and shifted about its center, then bent. Beyond its edges an image continues as in
    a mirror. Shifts are whole pixels, so that they alone blur nothing. Then come brightness,
    contrast (about the mean gray, as in torchvision), noise, and the gray square of cutout, which
    has the backbone's mean color and may stick out of the image.

    Args:
        images: uint8 (N, 3, S, S), S being the recipe's image size; never changed in place
        recipe: what may happen
        random: source of all draws; the same state gives the same result

    Returns:
        (N, 3, S, S), on the device of `images`: uint8 if pixels were only copied, else float32 in
        [0, 255]; `images` itself if the recipe changes nothing
    """
    count = len(images)
    chances = 0.5 * np.array([recipe.horizontal_flip, recipe.vertical_flip])
    signs = np.where(random.random((count, 2)) < chances, -1, 1)
    shifts = random.integers(-recipe.translation, recipe.translation, (count, 2), endpoint=True)
    if recipe.crop < 1 or recipe.scale or recipe.rotation or recipe.elastic:
        images = _resampled(images, signs, shifts, recipe, random)
    elif recipe.horizontal_flip or recipe.vertical_flip or recipe.translation:
        images = _copied(images, signs, shifts)
    # From here on, images that are float32 are a step's own, and may be changed in place.
    if recipe.brightness:
        images = images.mul(_factors(recipe.brightness, images, random)).clamp_(0, 255)
    if recipe.contrast:
        images = images.float()
        mean = V.rgb_to_grayscale(images).mean((1, 2, 3), keepdim=True)
        factors = _factors(recipe.contrast, images, random)
        images = torch.lerp(mean, images, factors).clamp_(0, 255)
    if recipe.noise:
        draws = random.random((count, 1, *images.shape[2:]), np.float32)
        draws = torch.from_numpy(draws).to(images.device)
        images = images.float().masked_fill_(draws < recipe.noise / 2, 0)
        images.masked_fill_(draws >= 1 - recipe.noise / 2, 255)
    if recipe.cutout:
        images = _cut_out(images, recipe, random)
    return images


def mix(
    images: torch.Tensor,
    labels: torch.Tensor,
    num_classes: int,
    alpha: float,
    random: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each image with another of its batch, and their labels alike (MixUp; Zhang et al., arXiv
    1710.09412).

    Each image has a share of its own; the paper's code draws one for the whole batch, which makes
    the loss jump from batch to batch. The larger share is the image's own, so that each image is
    the main one once; the draw being symmetric, pairs are mixed as in the paper. As normalization
    is affine, pixels may be mixed before it.

    Args:
        images: (N, 3, H, W) of any type; not changed
        labels: int64 (N,), class indexes
        num_classes: number of classes K
        alpha: shares are drawn from Beta(alpha, alpha), above 0
        random: source of all draws

    Returns:
        float32 images (N, 3, H, W) and targets (N, K), whose rows add up to 1
    """
    count = len(images)
    drawn = random.beta(alpha, alpha, count)
    shares = _tensor(np.maximum(drawn, 1 - drawn), images)
    partners = torch.from_numpy(random.permutation(count)).to(images.device)
    images, targets = images.float(), F.one_hot(labels, num_classes).float()
    mixed = torch.lerp(images[partners], images, shares.view(-1, 1, 1, 1))
    return mixed, torch.lerp(targets[partners], targets, shares.view(-1, 1))


def _copied(images: torch.Tensor, signs: np.ndarray, shifts: np.ndarray) -> torch.Tensor:
    """Mirror and shift by copying pixels; signs and shifts (N, 2), of x and y."""
    count, _, _, side = images.shape
    places = (np.arange(side) - shifts[..., None]) % (2 * side)
    places = np.minimum(places, 2 * side - 1 - places)
    places = np.where(signs[..., None] < 0, side - 1 - places, places)
    columns, rows = torch.from_numpy(places).to(images.device).unbind(1)
    firsts = torch.arange(count, device=images.device).view(-1, 1, 1) * side**2
    chosen = firsts + rows[:, :, None] * side + columns[:, None]
    # One index for whole pixels, which lie together in memory, is far faster than one per axis.
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3).index_select(0, chosen.flatten())
    return pixels.view(count, side, side, 3).permute(0, 3, 1, 2)


def _resampled(
    images: torch.Tensor,
    signs: np.ndarray,
    shifts: np.ndarray,
    recipe: Recipe,
    random: np.random.Generator,
) -> torch.Tensor:
    """Sample images where each pixel of the result comes from; signs and shifts (N, 2).

    With positions from -1 to 1 across an image, what is at p comes from
    center + sign * window / size * turn (p + bend(p) - shift).
    """
    count, side = len(images), images.shape[-1]
    windows, centers = _windows(recipe.crop, count, random)
    sizes = random.uniform(1 - recipe.scale, 1 + recipe.scale, (count, 1))
    angles = np.radians(random.uniform(-recipe.rotation, recipe.rotation, count))
    steps = windows / sizes
    turns = np.array([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]])
    matrices = (signs * steps)[..., None] * turns.transpose(2, 0, 1)
    offsets = centers - np.einsum("nij,nj->ni", matrices, 2 / side * shifts)
    # As F.affine_grid, whose product of matrices takes longer than the sampling.
    matrix, offset = _tensor(matrices, images), _tensor(offsets, images)
    places = _tensor((np.arange(side) + 0.5) * (2 / side) - 1, images)[:, None]
    columns = matrix[:, None, :, 0] * places
    rows = matrix[:, None, :, 1] * places + offset[:, None]
    grid = columns[:, None] + rows[:, :, None]
    if recipe.elastic:
        bends = matrix @ _bends(recipe.elastic * 2 / side, images, random).flatten(2)
        bends = bends.view(count, 2, ELASTIC_CELLS, ELASTIC_CELLS)
        bends = F.interpolate(bends, (side, side), mode="bilinear", align_corners=False)
        grid += bends.permute(0, 2, 3, 1)
    return F.grid_sample(
        _softened(images.float(), steps),
        grid,
        mode="bilinear",
        padding_mode="reflection",
        align_corners=False,
    )


def _windows(crop: float, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sides of random crops as shares of the image, and their centers in [-1, 1]: (N, 2) each."""
    if crop == 1:
        return np.ones((count, 2)), np.zeros((count, 2))
    areas = random.uniform(crop, 1, count)
    # Only aspects at which a window of this area fits; torchvision draws both again instead.
    reach = np.minimum(math.log(LONGEST_ASPECT), -np.log(areas))
    aspects = np.exp(random.uniform(-reach, reach))
    windows = np.sqrt(np.stack([areas * aspects, areas / aspects], axis=1))
    return windows, random.uniform(-1, 1, (count, 2)) * (1 - windows)


def _bends(most: float, images: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Smooth displacements (N, 2, cells, cells), the longest of each image up to `most`.

    Up to a tenth of the side, nothing is folded over.
    """
    count = len(images)
    noise = random.uniform(-1, 1, (count, 2, ELASTIC_CELLS, ELASTIC_CELLS))
    width = 2 * round(3 * ELASTIC_SMOOTHING) + 1
    smooth = V.gaussian_blur(_tensor(noise, images), [width, width], [ELASTIC_SMOOTHING] * 2)
    longest = smooth.norm(dim=1).amax((1, 2))
    factors = _tensor(random.uniform(0, most, count), images) / longest
    return smooth * factors.view(-1, 1, 1, 1)


def _softened(images: torch.Tensor, steps: np.ndarray) -> torch.Tensor:
    """Take away, in place, the detail that would alias if sampled at such steps (N, 2)."""
    side = images.shape[-1]
    sizes = np.rint(side * np.minimum(1, FINE_STEP / steps)).clip(1).astype(int)
    for i in np.flatnonzero((sizes < side).any(1)):
        width, height = sizes[i].tolist()
        images[i] = V.resize(V.resize(images[i], [height, width]), [side, side])
    return images


def _cut_out(images: torch.Tensor, recipe: Recipe, random: np.random.Generator) -> torch.Tensor:
    """Paint a square in each image in the color that is zero to the backbone; in place if float32.

    Its center lies anywhere in the image, as in DeVries and Taylor.
    """
    side = images.shape[-1]
    width = round(recipe.cutout * side)
    starts = random.integers(0, side, (len(images), 2)) - width // 2
    gray = 255 * _tensor(get_backbone(recipe.backbone).mean, images).view(3, 1, 1)
    images = images.float()
    ends = (starts + width).clip(min=0)
    for image, (left, top), (right, bottom) in zip(images, starts.clip(min=0), ends, strict=True):
        image[:, top:bottom, left:right] = gray
    return images


def _factors(share: float, images: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """A factor around 1 for each image, (N, 1, 1, 1)."""
    return _tensor(random.uniform(1 - share, 1 + share, (len(images), 1, 1, 1)), images)


def _tensor(values, like: torch.Tensor) -> torch.Tensor:
    """Numbers as float32, which every device knows, where the images are."""
    return torch.as_tensor(np.asarray(values, np.float32), device=like.device)
