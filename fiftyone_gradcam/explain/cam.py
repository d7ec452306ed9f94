"""Logits and maps from a single forward pass; only the head is differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from ..model.backbones import Backbone
from ..model.families import Head
from ..model.network import Network
from ..model.splitting import BackboneSplitter, Gradient, Splitter, splitter_of
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
            Grad-CAM sum to the logit without its bias)
        classes: one (N,) int64 tensor per target: the class of each map, -1 if it has none
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
    """Compute logits, and class activation maps for any number of targets, in one forward pass.

    With A the target tensor (N, C, h, w) and y the logit of the target class, Grad-CAM is
    ReLU(sum_k alpha_k A_k) with alpha_k the mean over cells of dy/dA_k (Selvaraju et al., arXiv
    1610.02391, equations 1 and 2); for the other methods see `explain.methods`. Only the head is
    differentiated, with respect to A, so that frozen parameters do not matter and no gradients are
    left on the model. The model runs in eval mode, and its mode is restored afterwards, even after
    an exception.

    When methods coincide: if the head averages the target tensor (all families but SqueezeNet,
    VGG, AlexNet and ViT), the gradient is the same at every cell, and HiResCAM and XGrad-CAM
    equal Grad-CAM; LayerCAM then uses only the channels with positive gradients, and differs.
    Eigen-CAM is the same for every target.

    Args:
        model: a network with this backbone
        backbone: its entry in the table of backbones
        images: normalized images (N, 3, H, W) on the model's device
        targets: for each map, "predicted", "runner_up" (the second most probable class), or class
            indexes (N,) in [0, K), -1 for samples without one, whose map is zero
        method: "gradcam", "hirescam", "layercam", "gradcam++", "eigencam" or "scorecam" (slow:
            a forward pass for each channel)
        signed: keep evidence against the class, as negative values
        layer: name of another module or node whose output is the target tensor; by default (None),
            that of the family

    Raises:
        ValueError: if class indexes are out of range or their number is not that of the images, or
            if the method or layer does not exist
    """
    return _explain(model, splitter_of(backbone, layer), images, targets, method, signed)


def explain_network(
    network: Network,
    images: torch.Tensor,
    targets: Sequence[Target] = (PREDICTED,),
    method: str = "gradcam",
    signed: bool = False,
) -> Explained:
    """Like `explain`, for a `Network`, which defines its target layer.

    Args:
        network: any network
        images: normalized images (N, 3, S, S) on its device
        targets, method, signed: see `explain`

    Raises:
        ValueError: see `explain`
    """
    return _explain(network.module, network.splitter, images, targets, method, signed)


class Forward:
    """A forward pass of a batch, which provides logits and any number of maps.

    Args:
        module: a network in eval mode
        splitter: splits the network at its target layer
        inputs: normalized images (N, 3, S, S) on its device
        explains: whether maps that need gradients will be computed
        cellwise: whether they need the gradient of each cell, not only its mean over the cells as
            Grad-CAM does
        reduced: run the network up to its target tensor in bfloat16; the rest runs in float32 if
            the place of the split allows it
    """

    def __init__(
        self,
        module: nn.Module,
        splitter: Splitter,
        inputs: torch.Tensor,
        explains: bool = True,
        cellwise: bool = True,
        reduced: bool = False,
    ):
        self.module, self.inputs = module, inputs
        # Values that a traced network keeps for its head have the dtype they were computed in.
        head_reduced = reduced and not isinstance(splitter, BackboneSplitter)
        with torch.no_grad(), in_bfloat16(inputs.device, reduced):
            ended = splitter.at_once(module, inputs) if explains else None
            if ended is not None:
                self._take(*ended)
                return
            features, head = splitter.split(module, inputs)
        # A float64 network is explained in float64.
        self.features = features.detach().float() if reduced else features.detach()
        self.gradient_of: Callable[[torch.Tensor], torch.Tensor] | None = None
        with torch.no_grad(), in_bfloat16(inputs.device, head_reduced):
            means = None
            if explains and not cellwise:
                means = splitter.mean_gradient(module, self.features)
            if means is not None:
                found, self.gradient_of = means
            elif explains:
                found, self.gradient_of = _differentiable(module, splitter, self.features, head)
            else:
                found = head(self.features)
        self.logits = found.detach().float() if reduced else found.detach()

    def _take(self, leaf: torch.Tensor, logits: torch.Tensor) -> None:
        """Store the result of a single forward pass with a graph from the target tensor on."""
        self.features = leaf.detach().to(self.inputs.dtype)
        self.logits = logits.detach().to(self.inputs.dtype)
        gradient = _gradient_at(leaf, logits)
        self.gradient_of = lambda classes: gradient(classes).to(self.inputs.dtype)

    def maps(
        self, targets: Sequence[Target], method: str = "gradcam", signed: bool = False
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Compute the maps (N, h, w) of each target, and their classes (N,).

        Args:
            targets, method, signed: see `explain`

        Raises:
            ValueError: see `explain`
        """
        chosen = check_method(method)
        maps, classes = [], [_classes(target, self.logits) for target in targets]
        with torch.no_grad():
            for wanted in classes:
                known = wanted.clamp(min=0)
                if method == "eigencam":
                    found = eigen_cam(self.features)
                elif method == "scorecam":
                    found = score_cam(self.features, self.inputs, known, self.module)
                else:
                    found = chosen.from_gradient(self.features, self.gradient_of(known))
                found = found if signed else found.relu_()
                maps.append(found.masked_fill_((wanted < 0)[:, None, None], 0.0))
        return maps, classes


def _differentiable(
    model: nn.Module, splitter: Splitter, features: torch.Tensor, head: Head
) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    """Return the logits, and a function for the gradient of the logits of classes (N,)."""
    closed_form: Gradient | None = splitter.closed_form(model)
    if closed_form is not None:
        return head(features), lambda classes: closed_form(features, classes)
    averages = splitter.averages
    # With averaging, the gradient is the same at every cell: that of the mean, divided by their
    # number.
    leaf = features.mean((2, 3), keepdim=True) if averages else features
    cells = features.shape[2] * features.shape[3] if averages else 1
    leaf = leaf.detach().requires_grad_()
    with torch.enable_grad():
        logits = head(leaf)

    return logits, _gradient_at(leaf, logits, cells)


def _gradient_at(
    leaf: torch.Tensor, logits: torch.Tensor, cells: int = 1
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function that computes the gradient of the logits of classes (N,) at a leaf.

    Each value of the leaf represents the given number of cells.
    """

    def gradient(classes: torch.Tensor) -> torch.Tensor:
        one_hot = torch.zeros_like(logits).scatter_(1, classes[:, None], 1.0)
        (found,) = torch.autograd.grad(logits, leaf, one_hot, retain_graph=True)
        return found / cells

    return gradient


def _explain(
    model: nn.Module,
    splitter: Splitter,
    images: torch.Tensor,
    targets: Sequence[Target],
    method: str,
    signed: bool,
) -> Explained:
    chosen = check_method(method)
    with eval_mode(model):
        forward = Forward(model, splitter, images, chosen.explains, chosen.cellwise)
        maps, classes = forward.maps(targets, method, signed)
        return Explained(forward.logits, maps, classes, splitter.layer)


def _classes(target: Target, logits: torch.Tensor) -> torch.Tensor:
    """Return the class indexes (N,) of a target after checking them."""
    count, num_classes = logits.shape
    if isinstance(target, str):
        if target == PREDICTED:
            return logits.argmax(1)
        if target == RUNNER_UP:
            return logits.topk(2).indices[:, 1]
        raise ValueError(f"A target is 'predicted', 'runner_up' or class indexes, not {target!r}")
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
    return target.to(logits.device)


def in_bfloat16(device: torch.device, wanted: bool) -> AbstractContextManager:
    """Return a context that computes in bfloat16 if `wanted`."""
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Set a network to eval mode, and restore its mode afterwards."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
