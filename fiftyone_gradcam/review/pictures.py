"""Poor images: dark, light, blurry, nearly empty, or of an unusual size or shape.

Names and thresholds are those of CleanVision (github.com/cleanlab/cleanvision); brightness and
sharpness are measured on images as resized for the network.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .duplicates import GRAY

STEP = 2  # brightness is measured on every second pixel of every second row
LUMINANCE = (0.241, 0.691, 0.068)  # weights of squared red, green and blue
SMALL = 64  # pixels per side; an image that is sharp at this size is sharp enough
DARK, LIGHT, BLURRY, LOW_INFORMATION, ODD_ASPECT = 0.32, 0.05, 0.29, 0.3, 0.35
FLAT = 0.18  # a contrast score below this does not compensate for missing edges
USUAL = 0.1  # maximum share of images; a property that more of them share is normal in this dataset
FENCE = 3.0  # interquartile ranges
LEAST_RANGE = 0.05  # minimum interquartile range of sizes, relative to the median


def picture_measures(images: torch.Tensor) -> torch.Tensor:
    """Measure brightness, sharpness and information of images.

    Args:
        images: (n, 3, S, S) uint8

    Returns:
        (n, 4) float32, on the device of the images: the brightness below which 99% of the pixels
        are; 1 minus the brightness above which 95% are; sharpness; information. All in [0, 1]; low
        is poor
    """
    pixels = images[:, :, ::STEP, ::STEP].float()
    weights = torch.tensor(LUMINANCE, device=images.device)
    bright = torch.einsum("nchw,c->nhw", pixels.square(), weights).sqrt().flatten(1) / 255
    ordered = bright.sort(1).values
    low, high = _quantile(ordered, 0.05), _quantile(ordered, 0.99)
    return torch.stack([high, 1 - low, _sharpness(images), _information(pixels)], 1)


def _quantile(ordered: torch.Tensor, share: float) -> torch.Tensor:
    """Return a quantile of sorted rows.

    `torch.quantile` uses float64, which Apple's GPUs do not support.
    """
    place = share * (ordered.shape[1] - 1)
    below = int(place)
    above = min(below + 1, ordered.shape[1] - 1)
    return torch.lerp(ordered[:, below], ordered[:, above], place - below)


def poor_pictures(
    measures: np.ndarray, widths: np.ndarray, heights: np.ndarray
) -> list[tuple[str, str] | None]:
    """Find images of poor quality.

    A property that more than a tenth of the images share is not reported.

    Args:
        measures: (N, 4), see `picture_measures`; rows of NaN if there are none
        widths, heights: (N,) in pixels; NaN if unknown

    Returns:
        the name of the problem and the evidence in words for each image; None if there is none
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
    for name, is_poor in tests:  # if several apply, the last one counts
        poor = np.flatnonzero(is_poor)
        if len(poor) <= USUAL * len(widths):
            for i in poor.tolist():
                found[i] = name, words[name](i)
    return found


def _usual(values: np.ndarray) -> str:
    return f"{np.nanmedian(values):.2f}"


def _odd(sizes: np.ndarray) -> np.ndarray:
    """Return which sizes are far from the usual ones."""
    if not np.isfinite(sizes).any():
        return np.zeros(len(sizes), bool)
    low, middle, high = np.nanpercentile(sizes, [25, 50, 75])
    reach = FENCE * max(high - low, LEAST_RANGE * middle)
    return (sizes < low - reach) | (sizes > high + reach)


def _sharpness(images: torch.Tensor) -> torch.Tensor:
    """Return edges plus contrast of small gray pictures, in [0, 1]."""
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
    """Return a tenth of the entropy, in bits, of the values of red, green and blue."""
    count = len(pixels)
    bands = torch.arange(3, device=pixels.device)[None, :, None] * 256
    values = (pixels.flatten(2).long() + bands).flatten(1)
    counts = torch.zeros((count, 768), device=pixels.device)
    counts.scatter_add_(1, values, torch.ones_like(values, dtype=torch.float32))
    shares = counts / counts.sum(1, keepdim=True)
    return -(shares * shares.clamp(min=1e-12).log2()).sum(1) / 10
