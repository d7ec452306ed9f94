"""Grad-CAM from one forward pass: features without a graph, a backward through the head alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from ..model.backbones import Backbone


@dataclass(frozen=True)
class Explained:
    """Logits and maps of a batch.

    Attributes:
        logits: (N, K) float32
        maps: one (N, h, w) float32 tensor per target, at least 0, on the grid of the target
            tensor, in logits (for heads that average and are linear, a map's mean is what its
            positive cells add to the logit)
    """

    logits: torch.Tensor
    maps: list[torch.Tensor]


def grad_cam(
    model: nn.Module,
    backbone: Backbone,
    images: torch.Tensor,
    targets: Sequence[torch.Tensor | None] = (None,),
) -> Explained:
    """Grad-CAM of any number of targets from one forward pass.

    With A the target tensor (N, C, h, w) and y the logit of the target class: weights
    alpha_k = mean over cells of dy/dA_k, map = ReLU(sum_k alpha_k A_k) (Selvaraju et al.,
    arXiv 1610.02391, equations 1 and 2). Only the head is differentiated, with respect to A, so
    that frozen parameters do not matter and no gradient is left on the model. The model is
    evaluated in eval mode and left in the mode it was found in, also after an exception.

    Args:
        model: a network of this backbone
        backbone: its row of the table
        images: normalised images (N, 3, H, W) on the model's device
        targets: for each map wanted, class indexes (N,) in [0, K), or -1 for samples without
            one, whose map is zero; None stands for the predicted class

    Raises:
        ValueError: if class indexes are out of range or not one for each image
    """
    with _eval_mode(model):
        with torch.no_grad():
            features, head = backbone.split(model, images)
        features = features.detach().requires_grad_()
        maps = []
        with torch.enable_grad():  # the caller may be in a no_grad block
            logits = head(features)
            for target in targets:
                classes = logits.argmax(1) if target is None else _checked(target, logits)
                chosen = logits.gather(1, classes.clamp(min=0)[:, None])[:, 0]
                chosen = torch.where(classes >= 0, chosen, 0.0).sum()
                (gradient,) = torch.autograd.grad(chosen, features, retain_graph=True)
                weights = gradient.mean((2, 3), keepdim=True)
                maps.append((weights * features.detach()).sum(1).relu_())
    return Explained(logits.detach(), maps)


def _checked(target: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    target = target.to(logits.device)
    count, classes = logits.shape
    if target.shape != (count,) or target.dtype != torch.int64:
        raise ValueError(
            f"A target must be int64 of shape ({count},), not {target.dtype} of shape "
            f"{tuple(target.shape)}"
        )
    if count and not -1 <= int(target.min()) <= int(target.max()) < classes:
        raise ValueError(
            f"Target classes must lie in [-1, {classes}), not in "
            f"[{int(target.min())}, {int(target.max())}]"
        )
    return target


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
