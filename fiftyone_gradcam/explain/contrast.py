"""Contrast maps: two ways to show the evidence for one class and against another."""

from __future__ import annotations

import torch

from .cam import Forward
from .methods import check_method

DIFFERENCE, FINER = "difference", "finercam"
CONTRASTS = (DIFFERENCE, FINER)


def contrast(
    forward: Forward,
    classes: torch.Tensor,
    others: torch.Tensor,
    way: str = DIFFERENCE,
    method: str = "gradcam",
    alpha: float = 1.0,
) -> torch.Tensor:
    """Compute signed maps (N, h, w): evidence for `classes` is positive, for `others` negative.

    "difference" subtracts the map of one class from that of the other, ReLU(M_c) - alpha ReLU(M_o).
    "finercam" explains the difference of both logits, y_c - alpha y_o, with the same method (Zhang
    et al., Finer-CAM, CVPR 2025, arXiv 2501.11309, with one class to compare): evidence against
    both classes is not removed by a ReLU for each.

    Args:
        forward: of a batch, with `explains`
        classes, others: (N,) int64 class indexes
        way: one of `CONTRASTS`
        method: method of the maps
        alpha: weight of the other class

    Raises:
        ValueError: if `way` is unknown, or "finercam" is used with a method without gradients
    """
    chosen = check_method(method)
    if way not in CONTRASTS:
        raise ValueError(f"way must be one of {', '.join(CONTRASTS)}, not {way!r}")
    if way == DIFFERENCE:
        (own, other), _ = forward.maps([classes, others], method)
        return own - alpha * other
    if not chosen.explains:
        raise ValueError(f"way 'finercam' needs a method that uses gradients, not {method!r}")
    with torch.no_grad():
        gradient = forward.gradient_of(classes) - alpha * forward.gradient_of(others)
        return chosen.from_gradient(forward.features, gradient)
