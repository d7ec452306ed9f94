"""Augmentation of whole batches, with separate random draws for each image.

The random transforms of torchvision.transforms.v2 draw once per batch, and applying them image by
image resamples each image several times. Therefore only its deterministic functions are used here.
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
# Bilinear sampling averages two pixels, so steps of up to this many pixels cause hardly any
# aliasing (about 2 of 255 in photos), and do not justify the blur of a filter.
FINE_STEP = 1.5
# The displacements of Simard et al. (ICDAR 2003): noise, smoothed by 4 cells of 29 on a side.
ELASTIC_CELLS, ELASTIC_SMOOTHING = 29, 4.0


def augment(images: torch.Tensor, recipe: Recipe, random: np.random.Generator) -> torch.Tensor:
    """Augment images at random with the settings of a recipe, except mixup.

    Geometric changes come first, in a single resampling: a random crop, flips, then scaling,
    rotation and translation about the center, then elastic distortion. Beyond its edges, an image
    is continued by reflection. Translations are whole pixels, so that they alone do not blur. Then
    come brightness, contrast (about the mean gray, as in torchvision), noise, and the gray square
    of cutout, which has the backbone's mean color and may extend beyond the image.

    Args:
        images: uint8 (N, 3, S, S), where S is the recipe's image size; not modified
        recipe: the settings (see "Augmentation" in `Recipe`)
        random: generator for all draws; the same state gives the same result

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
    # From here on, float32 images are temporary, and may be modified in place.
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
    """Apply MixUp (Zhang et al., arXiv 1710.09412): mix each image, and its label, with another.

    Each image draws its own mixing ratio; the paper's code draws one for the whole batch, which
    makes the loss jump from batch to batch. The larger share always belongs to the image itself, so
    that each image is the main one exactly once; as the distribution is symmetric, pairs are mixed
    as in the paper. Because normalization is affine, pixels may be mixed before it.

    Args:
        images: (N, 3, H, W) of any dtype; not modified
        labels: int64 (N,), class indexes
        num_classes: number of classes K
        alpha: shares are drawn from Beta(alpha, alpha); greater than 0
        random: generator for all draws

    Returns:
        float32 images (N, 3, H, W) and targets (N, K), whose rows sum to 1
    """
    count = len(images)
    drawn = random.beta(alpha, alpha, count)
    shares = _tensor(np.maximum(drawn, 1 - drawn), images)
    partners = torch.from_numpy(random.permutation(count)).to(images.device)
    images, targets = images.float(), F.one_hot(labels, num_classes).float()
    mixed = torch.lerp(images[partners], images, shares.view(-1, 1, 1, 1))
    return mixed, torch.lerp(targets[partners], targets, shares.view(-1, 1))


def _copied(images: torch.Tensor, signs: np.ndarray, shifts: np.ndarray) -> torch.Tensor:
    """Flip and translate by copying pixels; signs and shifts (N, 2) for x and y."""
    count, _, _, side = images.shape
    places = (np.arange(side) - shifts[..., None]) % (2 * side)
    places = np.minimum(places, 2 * side - 1 - places)
    places = np.where(signs[..., None] < 0, side - 1 - places, places)
    columns, rows = torch.from_numpy(places).to(images.device).unbind(1)
    firsts = torch.arange(count, device=images.device).view(-1, 1, 1) * side**2
    chosen = firsts + rows[:, :, None] * side + columns[:, None]
    # Indexing whole pixels, which are contiguous in memory, is much faster than one index per axis.
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3).index_select(0, chosen.flatten())
    return pixels.view(count, side, side, 3).permute(0, 3, 1, 2)


def _resampled(
    images: torch.Tensor,
    signs: np.ndarray,
    shifts: np.ndarray,
    recipe: Recipe,
    random: np.random.Generator,
) -> torch.Tensor:
    """Sample each pixel of the result from its source position; signs and shifts (N, 2).

    With coordinates from -1 to 1 across an image, the pixel at p is sampled at
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
    # Like F.affine_grid, whose matrix product takes longer than the sampling.
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
    """Return sides of random crops relative to the image, and centers in [-1, 1]: (N, 2) each."""
    if crop == 1:
        return np.ones((count, 2)), np.zeros((count, 2))
    areas = random.uniform(crop, 1, count)
    # Only aspect ratios for which a window of this area fits; torchvision redraws both instead.
    reach = np.minimum(math.log(LONGEST_ASPECT), -np.log(areas))
    aspects = np.exp(random.uniform(-reach, reach))
    windows = np.sqrt(np.stack([areas * aspects, areas / aspects], axis=1))
    return windows, random.uniform(-1, 1, (count, 2)) * (1 - windows)


def _bends(most: float, images: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Return smooth random displacements (N, 2, cells, cells) whose maximum is at most `most`.

    Up to a tenth of the side, the displacement does not fold the image.
    """
    count = len(images)
    noise = random.uniform(-1, 1, (count, 2, ELASTIC_CELLS, ELASTIC_CELLS))
    width = 2 * round(3 * ELASTIC_SMOOTHING) + 1
    smooth = V.gaussian_blur(_tensor(noise, images), [width, width], [ELASTIC_SMOOTHING] * 2)
    longest = smooth.norm(dim=1).amax((1, 2))
    factors = _tensor(random.uniform(0, most, count), images) / longest
    return smooth * factors.view(-1, 1, 1, 1)


def _softened(images: torch.Tensor, steps: np.ndarray) -> torch.Tensor:
    """Remove, in place, detail that would cause aliasing at these sampling steps (N, 2)."""
    side = images.shape[-1]
    sizes = np.rint(side * np.minimum(1, FINE_STEP / steps)).clip(1).astype(int)
    for i in np.flatnonzero((sizes < side).any(1)):
        width, height = sizes[i].tolist()
        images[i] = V.resize(V.resize(images[i], [height, width]), [side, side])
    return images


def _cut_out(images: torch.Tensor, recipe: Recipe, random: np.random.Generator) -> torch.Tensor:
    """Fill a square in each image with the backbone's mean color; in place if float32.

    The center of the square lies anywhere in the image, as in DeVries and Taylor.
    """
    side = images.shape[-1]
    width = round(recipe.cutout * side)
    starts = random.integers(0, side, (len(images), 2)) - width // 2
    gray = 255 * _tensor(get_backbone(recipe.backbone).mean, images).view(3, 1, 1)
    images, ends = images.float(), starts + width
    for image, (left, top), (right, bottom) in zip(images, starts.clip(min=0), ends, strict=True):
        image[:, top:bottom, left:right] = gray
    return images


def _factors(share: float, images: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Return a random factor around 1 for each image, (N, 1, 1, 1)."""
    return _tensor(random.uniform(1 - share, 1 + share, (len(images), 1, 1, 1)), images)


def _tensor(values, like: torch.Tensor) -> torch.Tensor:
    """Return float32 values, which every device supports, on the device of the images."""
    return torch.as_tensor(np.asarray(values, np.float32), device=like.device)
