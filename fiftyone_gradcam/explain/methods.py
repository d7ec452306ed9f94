"""Methods for class activation maps, from a target tensor and its gradient.

A is the target tensor (N, C, h, w) and g the gradient of the target class's logit with respect to
it: (N, C, h, w), or (N, C, 1, 1) if it is the same at every cell. Every function returns signed
maps (N, h, w).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import interpolate

from ..similar import did_you_mean

CHANNELS_AT_ONCE = 32  # masked images in one forward pass of Score-CAM


def grad_cam(features: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """sum_k alpha_k A_k, alpha_k = mean of g_k (Selvaraju et al., arXiv 1610.02391, eq. 1, 2)."""
    return _weighted(features, gradient.mean((2, 3)))


def hires_cam(features: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """sum_k g_k A_k, cell by cell (Draelos and Carin, arXiv 2011.08891, eq. 6).

    If the head averages the target tensor, g is the same at every cell, and this is Grad-CAM.
    """
    if gradient.shape[2:] == (1, 1):
        return grad_cam(features, gradient)
    return (gradient * features).sum(1)


def layer_cam(features: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """sum_k ReLU(g_k) A_k, cell by cell (Jiang et al., IEEE TIP 2021, eq. 4)."""
    return hires_cam(features, gradient.relu())


def grad_cam_plus_plus(features: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """sum_k w_k A_k, w_k = sum over cells of a_k ReLU(g_k) (Chattopadhay et al., arXiv 1710.11063).

    a_k = g_k^2 / (2 g_k^2 + sum over cells of A_k x g_k^3); eq. 10, 19, for the exponential of the
    logit, whose factor exp(y) is the same for all channels and is left out; a_k = 0 where its
    denominator is 0.
    """
    totals = features.sum((2, 3), keepdim=True)
    # Numerator and denominator are divided by g^2, which underflows in float32 for small gradients.
    below = 2 + totals * gradient
    share = torch.where((gradient != 0) & (below != 0), 1 / below, 0.0)
    weights = (share * gradient.relu()).expand_as(features).sum((2, 3))
    return _weighted(features, weights)


def eigen_cam(features: torch.Tensor) -> torch.Tensor:
    """Projection of A on its first right singular vector, the same for every class.

    Muhammad and Yeasin, arXiv 2008.00299, eq. 3, 4; the sign is chosen such that the map's sum is
    positive. With X the cells by channels, X v_1 = s_1 u_1, where u_1 and s_1^2 are an eigenvector
    and eigenvalue of the small matrix X X^T.
    """
    cells = features.flatten(2).transpose(1, 2)
    values, vectors = torch.linalg.eigh(torch.bmm(cells, cells.transpose(1, 2)))
    maps = vectors[..., -1] * values[:, -1:].clamp(min=0).sqrt()
    maps = torch.where(maps.sum(1, keepdim=True) < 0, -maps, maps)
    return maps.unflatten(1, features.shape[2:])


def score_cam(
    features: torch.Tensor,
    images: torch.Tensor,
    classes: torch.Tensor,
    model: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """sum_k w_k A_k, with weights from images that are masked by the channels.

    w = softmax over k of the logit of the image masked by A_k, which is resized to the image and
    scaled to [0, 1] (Wang et al., arXiv 1910.01279, algorithm 1). This needs a forward pass for
    each channel of each image, which costs hundreds of times as much as the other methods.

    Args:
        features: target tensor (N, C, h, w)
        images: normalized images (N, 3, H, W)
        classes: (N,) class indexes
        model: maps normalized images to logits
    """
    weights = []
    for channels, image, label in zip(features, images, classes.tolist(), strict=True):
        parts = channels.split(CHANNELS_AT_ONCE)
        logits = torch.cat([_class_scores(part, image, label, model) for part in parts])
        weights.append(logits.softmax(0))
    return _weighted(features, torch.stack(weights))


def _class_scores(channels, image, label: int, model) -> torch.Tensor:
    masks = interpolate(channels[:, None], image.shape[1:], mode="bilinear", align_corners=False)
    low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
    masks = (masks - low) / (high - low).clamp(min=1e-8)
    return model(image * masks)[:, label]


def _weighted(features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    maps = torch.bmm(weights[:, None], features.flatten(2))
    return maps[:, 0].unflatten(1, features.shape[2:])


@dataclass(frozen=True)
class Method:
    """A method for maps.

    Attributes:
        title: its usual name
        words: a short description for forms
        from_gradient: the function, if it only needs the target tensor and its gradient
    """

    title: str
    words: str
    from_gradient: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None

    @property
    def explains(self) -> bool:
        """Whether it needs gradients."""
        return self.from_gradient is not None

    @property
    def cellwise(self) -> bool:
        """Whether it needs the gradient of each cell, not only its mean over the cells."""
        return self.from_gradient not in (None, grad_cam)


METHODS = {
    "gradcam": Method("Grad-CAM", "channels weighted by their mean gradient", grad_cam),
    "hirescam": Method("HiResCAM", "gradient times activation, cell by cell", hires_cam),
    "layercam": Method("LayerCAM", "like HiResCAM, positive gradients only", layer_cam),
    "gradcam++": Method(
        "Grad-CAM++", "channels weighted by positive gradients", grad_cam_plus_plus
    ),
    "eigencam": Method("Eigen-CAM", "main component of the layer; the same for every class"),
    "scorecam": Method("Score-CAM", "hundreds of forward passes for each image: slow"),
}


def check_method(method: str) -> Method:
    """Return the method with a given name.

    Raises:
        ValueError: if there is no such method; the message lists all methods
    """
    if method not in METHODS:
        raise ValueError(
            f"Unknown method {method!r}. {did_you_mean(method, METHODS)}"
            f"Choose one of: {', '.join(METHODS)}"
        )
    return METHODS[method]
