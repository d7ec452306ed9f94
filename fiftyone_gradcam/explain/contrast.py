"""What speaks for one class and against another: two ways to make one map of two classes."""

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
    """Signed maps (N, h, w): above 0 what speaks for `classes`, below what speaks for `others`.

    "difference" takes the map of one class from that of the other, ReLU(M_c) - alpha ReLU(M_o).
    "finercam" explains the difference of both logits, y_c - alpha y_o, by the same method (Zhang et
    al., Finer-CAM, CVPR 2025, arXiv 2501.11309, with one class to compare with): what both classes
    count as evidence against them is not lost in a ReLU of either.

    Args:
        forward: of a batch, which explains
        classes, others: (N,) int64 class indexes
        way: one of `CONTRASTS`
        method: of the maps
        alpha: how much the other class counts

    Raises:
        ValueError: if there is no such way, or the method works without gradients
    """
    chosen = check_method(method)
    if way not in CONTRASTS:
        raise ValueError(f"way must be one of {', '.join(CONTRASTS)}, not {way!r}")
    if way == DIFFERENCE:
        (own, other), _ = forward.maps([classes, others], method)
        return own - alpha * other
    if not chosen.explains:
        raise ValueError(f"way 'finercam' needs a method that works by gradients, not {method!r}")
    with torch.no_grad():
        gradient = forward.gradient_of(classes) - alpha * forward.gradient_of(others)
        return chosen.from_gradient(forward.features, gradient)
