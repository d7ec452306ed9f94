"""Faithfulness of maps: how much the network's decision depends on the highlighted pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from ..images.geometry import to_frame
from .road import Probability, road

STEPS = 10
BLUR = 31  # pixels: wide enough to hide an object from a network of 224 pixels
GAUSSIAN_SIGMA = 0.25  # share of the side

MEASURES = ("deletion", "insertion", "drop")
ROAD = "road"  # a fourth measure, optional because it takes seconds per image
HIGH_IS_GOOD = ("insertion", ROAD)
RIVALS = ("", "gaussian", "random")  # the map itself, and two baselines


@dataclass(frozen=True)
class Faithfulness:
    """Faithfulness of a map, based on the probability p of its class.

    Attributes:
        deletion: area under p as the pixels become gray, the hottest first; in [0, 1], low is
            good (Petsiuk et al., RISE, arXiv 1806.07421)
        insertion: area under p as the pixels of a blurred image become sharp, the hottest first;
            in [0, 1], high is good (same)
        drop: share of p that is lost when the image is multiplied by the map, at least 0; low is
            good (Chattopadhay et al., arXiv 1710.11063, equation 22)
        road: how much more p falls without the hottest pixels than without the coldest, in
            [-0.5, 0.5]; high is good (see `road`); None if it was not computed
    """

    deletion: float
    insertion: float
    drop: float
    road: float | None = None


def faithfulness(
    image: torch.Tensor,
    cam: np.ndarray,
    probability: Probability,
    steps: int = STEPS,
    noise: np.random.Generator | None = None,
) -> Faithfulness:
    """Measure the faithfulness of a map.

    Args:
        image: normalized image (3, H, W); zero is the mean color
        cam: (h, w) map of the image; negative values count as 0
        probability: maps normalized images (N, 3, H, W) to the class's probabilities (N,)
        steps: number of equal parts in which the pixels are removed, at least 2
        noise: also compute `road`, with noise from this generator
    """
    height, width = image.shape[1:]
    heat = np.clip(to_frame(np.clip(cam, 0, None), width, height), 0, None)
    # Ties are broken by position, from the top left; a map of zeros has no order.
    ordered = np.argsort(-heat, axis=None, kind="stable")
    order = torch.from_numpy(ordered)
    taken = torch.zeros(steps + 1, height * width, dtype=torch.bool)
    for step in range(1, steps + 1):
        taken[step, order[: round(step * height * width / steps)]] = True
    taken = taken.view(steps + 1, 1, height, width).to(image.device)
    blurred = avg_pool2d(image[None], BLUR, 1, BLUR // 2, count_include_pad=False)[0]
    peak = float(heat.max())
    kept = torch.from_numpy(np.float32(heat / peak if peak > 0 else heat)).to(image)
    deleted = probability(torch.where(taken, torch.zeros_like(image), image))
    inserted = probability(torch.where(taken, image, blurred))
    alone = float(probability((image * kept)[None])[0])
    whole = float(deleted[0])
    return Faithfulness(
        deletion=_area(deleted),
        insertion=_area(inserted),
        drop=max(0.0, whole - alone) / max(whole, 1e-12),
        road=None if noise is None else road(image, ordered, probability, steps, noise),
    )


def measure_name(measure: str, rival: str) -> str:
    """Return the name of a measure of a map or of a baseline, such as "deletion_random"."""
    return f"{measure}_{rival}" if rival else measure


def _area(curve: torch.Tensor) -> float:
    """Compute the area under a curve over [0, 1] by the trapezoidal rule."""
    values = curve.cpu().numpy().astype(np.float64)
    return float(((values[1:] + values[:-1]) / 2).mean())


def centered_gaussian(shape: tuple[int, int]) -> np.ndarray:
    """Return a baseline map (h, w) that only assumes that objects are in the center."""
    down, across = (
        np.exp(-0.5 * (((np.arange(side) + 0.5) / side - 0.5) / GAUSSIAN_SIGMA) ** 2)
        for side in shape
    )
    return np.outer(down, across).astype(np.float32)


def random_map(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Return a random baseline map (h, w), as coarse as the map that it is compared with."""
    return random.random(shape, dtype=np.float32)
