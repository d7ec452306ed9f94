"""Logits and maps from one forward pass: features without a graph, a gradient of the head alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from ..model.backbones import Backbone
from ..model.network import Network
from ..model.splitting import Gradient, Splitter, splitter_of
from .methods import check_method, eigen_cam, score_cam

PREDICTED = "predicted"
RUNNER_UP = "runner_up"
Target = str | torch.Tensor


@dataclass(frozen=True)
class Explained:
    """Logits and maps of a batch.

    Attributes:
        logits: (N, K)
        maps: one (N, h, w) tensor per target, on the grid of the target tensor, at least 0 unless
            signed, in logits (for heads that average and are linear, the cells of a signed
            Grad-CAM add up to the logit without its bias)
        classes: one (N,) int64 tensor per target: what each map is of, -1 where of nothing
        layer: the layer that was used
    """

    logits: torch.Tensor
    maps: list[torch.Tensor]
    classes: list[torch.Tensor]
    layer: str


def explain(
    model: nn.Module,
    backbone: Backbone,
    images: torch.Tensor,
    targets: Sequence[Target] = (PREDICTED,),
    method: str = "gradcam",
    signed: bool = False,
    layer: str | None = None,
) -> Explained:
    """Logits, and class activation maps of any number of targets, from one forward pass.

    With A the target tensor (N, C, h, w) and y the logit of the target class, Grad-CAM is
    ReLU(sum_k alpha_k A_k) with alpha_k the mean over cells of dy/dA_k (Selvaraju et al., arXiv
    1610.02391, equations 1 and 2); for the other methods see `explain.methods`. Only the head is
    differentiated, with respect to A, so that frozen parameters do not matter and no gradient is
    left on the model. The model is evaluated in eval mode and left in the mode it was found in,
    also after an exception.

    Where methods coincide: if the head averages the target tensor (all families but SqueezeNet,
    VGG, AlexNet and ViT), the gradient is the same at every cell, and HiResCAM and XGrad-CAM
    equal Grad-CAM; LayerCAM then takes the channels of positive gradient alone, and differs.
    Eigen-CAM is the same for every target.

    Args:
        model: a network of this backbone
        backbone: its row of the table
        images: normalised images (N, 3, H, W) on the model's device
        targets: for each map wanted, "predicted", "runner_up" (the second most probable class),
            or class indexes (N,) in [0, K), -1 for samples without one, whose map is zero
        method: "gradcam", "hirescam", "layercam", "gradcam++", "eigencam" or "scorecam" (slow:
            a forward pass for each channel)
        signed: keep what speaks against the class, as values below 0
        layer: name of another module or node to take the target tensor from; None takes the
            family's

    Raises:
        ValueError: if class indexes are out of range or not one for each image, or if there is no
            such method or layer
    """
    return _explain(model, splitter_of(backbone, layer), images, targets, method, signed)


def explain_network(
    network: Network,
    images: torch.Tensor,
    targets: Sequence[Target] = (PREDICTED,),
    method: str = "gradcam",
    signed: bool = False,
) -> Explained:
    """As `explain`, of a network that knows where it is split.

    Args:
        network: any
        images: normalized images (N, 3, S, S) on its device
        targets, method, signed: see `explain`

    Raises:
        ValueError: see `explain`
    """
    return _explain(network.module, network.splitter, images, targets, method, signed)


def _explain(
    model: nn.Module,
    splitter: Splitter,
    images: torch.Tensor,
    targets: Sequence[Target],
    method: str,
    signed: bool,
) -> Explained:
    chosen = check_method(method)
    with _eval_mode(model), torch.no_grad():
        gradient_of: Gradient | None = None
        if chosen.from_gradient is None:
            features, logits = splitter.run(model, images)
        else:
            features, logits, gradient_of = splitter.run_with_gradient(model, images)
        classes = [_classes(target, logits) for target in targets]
        maps = []
        for wanted in classes:
            known = wanted.clamp(min=0)
            if method == "eigencam":
                found = eigen_cam(features)
            elif method == "scorecam":
                found = score_cam(features, images, known, model)
            else:
                found = chosen.from_gradient(features, gradient_of(known))
            found = found if signed else found.relu_()
            maps.append(found.masked_fill_((wanted < 0)[:, None, None], 0.0))
    return Explained(logits.detach(), maps, classes, splitter.layer)


def _classes(target: Target, logits: torch.Tensor) -> torch.Tensor:
    """Class indexes (N,) of a target, checked."""
    count, num_classes = logits.shape
    if isinstance(target, str):
        if target == PREDICTED:
            return logits.argmax(1)
        if target == RUNNER_UP:
            return logits.topk(2).indices[:, 1]
        raise ValueError(f"A target is 'predicted', 'runner_up' or class indexes, not {target!r}")
    target = target.to(logits.device)
    if target.shape != (count,) or target.dtype != torch.int64:
        raise ValueError(
            f"A target must be int64 of shape ({count},), not {target.dtype} of shape "
            f"{tuple(target.shape)}"
        )
    if count and not -1 <= int(target.min()) <= int(target.max()) < num_classes:
        raise ValueError(
            f"Target classes must lie in [-1, {num_classes}), not in "
            f"[{int(target.min())}, {int(target.max())}]"
        )
    return target


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
