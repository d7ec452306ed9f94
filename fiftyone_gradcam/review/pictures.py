"""Poor pictures: dark, light, blurry, empty, or of an odd shape. Names and limits are CleanVision's
(github.com/cleanlab/cleanvision); brightness and sharpness are measured on what a network sees."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .duplicates import GRAY

STEP = 2  # of the pixels that brightness is measured on, every second one
LUMINANCE = (0.241, 0.691, 0.068)  # of squared red, green and blue
SMALL = 64  # pixels: what is sharp at this size is sharp enough
DARK, LIGHT, BLURRY, LOW_INFORMATION, ODD_ASPECT = 0.32, 0.05, 0.29, 0.3, 0.35
FLAT = 0.18  # a contrast (as a score) below it does not make up for want of edges
USUAL = 0.1  # of the images: what more of them share is how these images are
FENCE = 3.0  # interquartile ranges
LEAST_RANGE = 0.05  # of sizes, as a share of the median


def picture_measures(images: torch.Tensor) -> torch.Tensor:
    """How light, sharp and rich images are.

    Args:
        images: (n, 3, S, S) uint8

    Returns:
        (n, 4) float32, on the device of the images: the brightness that 99% of the pixels stay
        below; 1 minus that which 95% exceed; sharpness; information. All in [0, 1], and poor if low
    """
    pixels = images[:, :, ::STEP, ::STEP].float()
    weights = torch.tensor(LUMINANCE, device=images.device)
    bright = torch.einsum("nchw,c->nhw", pixels.square(), weights).sqrt().flatten(1) / 255
    ordered = bright.sort(1).values
    low, high = _quantile(ordered, 0.05), _quantile(ordered, 0.99)
    return torch.stack([high, 1 - low, _sharpness(images), _information(pixels)], 1)


def _quantile(ordered: torch.Tensor, share: float) -> torch.Tensor:
    """That of sorted rows, as `torch.quantile`, which uses float64: Apple's GPUs know none."""
    place = share * (ordered.shape[1] - 1)
    below = int(place)
    above = min(below + 1, ordered.shape[1] - 1)
    return torch.lerp(ordered[:, below], ordered[:, above], place - below)


def poor_pictures(
    measures: np.ndarray, widths: np.ndarray, heights: np.ndarray
) -> list[tuple[str, str] | None]:
    """Name what is poor about pictures.

    What more than a tenth of the images share is not an issue of one of them.

    Args:
        measures: (N, 4), see `picture_measures`; rows of NaN where there are none
        widths, heights: (N,) in pixels; NaN where they are not known

    Returns:
        for each image the name of its fault and evidence in words; None if there is none
    """
    found: list[tuple[str, str] | None] = [None] * len(widths)
    sizes = np.sqrt(widths * heights)
    aspects = np.minimum(widths, heights) / np.maximum(widths, heights)
    tests = [("odd size", _odd(sizes)), ("odd aspect ratio", aspects < ODD_ASPECT)]
    if measures.shape[1]:
        dark, light, sharp, information = measures.T
        tests += [
            ("blurry", sharp < BLURRY),
            ("low information", information < LOW_INFORMATION),
            ("light", light < LIGHT),
            ("dark", dark < DARK),
        ]
    words = {
        "odd size": lambda i: (
            f"{widths[i]:.0f} x {heights[i]:.0f} pixels, where the usual side is "
            f"{np.nanmedian(sizes):.0f}"
        ),
        "odd aspect ratio": lambda i: f"{widths[i]:.0f} x {heights[i]:.0f} pixels",
        "blurry": lambda i: f"sharpness {measures[i, 2]:.2f}, usually {_usual(measures[:, 2])}",
        "low information": lambda i: (
            f"nearly one color: information {measures[i, 3]:.2f}, usually {_usual(measures[:, 3])}"
        ),
        "light": lambda i: f"95% of it is brighter than {1 - measures[i, 1]:.2f} of white",
        "dark": lambda i: f"99% of it is darker than {measures[i, 0]:.2f} of white",
    }
    for name, is_poor in tests:  # the last of several counts
        poor = np.flatnonzero(is_poor)
        if len(poor) <= USUAL * len(widths):
            for i in poor.tolist():
                found[i] = name, words[name](i)
    return found


def _usual(values: np.ndarray) -> str:
    return f"{np.nanmedian(values):.2f}"


def _odd(sizes: np.ndarray) -> np.ndarray:
    """Which sizes are far from the usual ones."""
    if not np.isfinite(sizes).any():
        return np.zeros(len(sizes), bool)
    low, middle, high = np.nanpercentile(sizes, [25, 50, 75])
    reach = FENCE * max(high - low, LEAST_RANGE * middle)
    return (sizes < low - reach) | (sizes > high + reach)


def _sharpness(images: torch.Tensor) -> torch.Tensor:
    """Edges and contrast of small gray pictures, in [0, 1]."""
    weights = torch.tensor(GRAY, device=images.device)
    gray = torch.einsum("nchw,c->nhw", images.float(), weights)[:, None]
    if gray.shape[-1] > SMALL:
        gray = F.adaptive_avg_pool2d(gray, SMALL)
    kernel = torch.full((1, 1, 3, 3), -1.0, device=images.device)
    kernel[0, 0, 1, 1] = 8.0
    edges = F.conv2d(gray, kernel).clamp(0, 255).flatten(1).std(1, unbiased=False)
    contrast = 1 - torch.exp(-0.01 * gray.flatten(1).std(1, unbiased=False))
    contrast = torch.where(contrast > FLAT, contrast, torch.zeros_like(contrast))
    return (1 - torch.exp(-0.01 * edges) + contrast).clamp(max=1)


def _information(pixels: torch.Tensor) -> torch.Tensor:
    """A tenth of the entropy, in bits, of the values of red, green and blue."""
    count = len(pixels)
    bands = torch.arange(3, device=pixels.device)[None, :, None] * 256
    values = (pixels.flatten(2).long() + bands).flatten(1)
    counts = torch.zeros((count, 768), device=pixels.device)
    counts.scatter_add_(1, values, torch.ones_like(values, dtype=torch.float32))
    shares = counts / counts.sum(1, keepdim=True)
    return -(shares * shares.clamp(min=1e-12).log2()).sum(1) / 10
