"""Logits and maps from one forward pass: features without a graph, a gradient of the head alone."""

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
        images: normalized images (N, 3, H, W) on the model's device
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


class Forward:
    """One forward pass of a batch, from which logits and any number of maps are taken.

    Args:
        module: a network in eval mode
        splitter: where it is split
        inputs: normalized images (N, 3, S, S) on its device
        explains: whether maps by gradients will be asked for
        cellwise: whether by more than the means of gradients over the cells, which Grad-CAM takes
        reduced: run the network up to its target tensor in bfloat16; what follows is computed in
            float32 where the place of the split allows
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
        # What a traced network keeps for its head is of the type that it was computed in.
        head_reduced = reduced and not isinstance(splitter, BackboneSplitter)
        with torch.no_grad(), in_bfloat16(inputs.device, reduced):
            ended = splitter.at_once(module, inputs) if explains else None
            if ended is not None:
                self._take(*ended)
                return
            features, head = splitter.split(module, inputs)
        # A network in float64 is explained in float64.
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
        """Take what one forward gave with a graph from the target tensor on."""
        self.features = leaf.detach().to(self.inputs.dtype)
        self.logits = logits.detach().to(self.inputs.dtype)
        gradient = _gradient_at(leaf, logits)
        self.gradient_of = lambda classes: gradient(classes).to(self.inputs.dtype)

    def maps(
        self, targets: Sequence[Target], method: str = "gradcam", signed: bool = False
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Maps (N, h, w) of each target, and the classes (N,) that they are of.

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
    """The logits, and the function from classes (N,) to the gradient of their logits."""
    closed_form: Gradient | None = splitter.closed_form(model)
    if closed_form is not None:
        return head(features), lambda classes: closed_form(features, classes)
    averages = splitter.averages
    # The gradient is then the same at every cell of a channel: that of its mean, over the cells.
    leaf = features.mean((2, 3), keepdim=True) if averages else features
    cells = features.shape[2] * features.shape[3] if averages else 1
    leaf = leaf.detach().requires_grad_()
    with torch.enable_grad():
        logits = head(leaf)

    return logits, _gradient_at(leaf, logits, cells)


def _gradient_at(
    leaf: torch.Tensor, logits: torch.Tensor, cells: int = 1
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function from classes (N,) to the gradient of their logits at a leaf, whose each value
    stands for so many cells."""

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
    """Class indexes (N,) of a target, checked."""
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
    """Compute in bfloat16 where that is wanted and exact enough."""
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a network into eval mode, and leave it in the mode that it was found in."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
