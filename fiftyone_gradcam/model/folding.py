"""The same network, but faster to evaluate: batch norms and activations join convolutions."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .convolution import (
    FusedConv,
    is_fusible_activation,
    is_fusible_convolution,
    is_fusing_available,
)
from .tracing import trace


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """Return a copy of a network for evaluation with batch norms folded into convolutions.

    Each batch norm directly after a convolution is folded into its weights, which gives equal
    results up to rounding. In eval mode, a batch norm multiplies by and adds constants; folding
    saves a pass over the activations. Modules keep their names and order; a folded norm becomes an
    identity.

    Args:
        model: a network; if it cannot be traced, the copy is unchanged

    Returns:
        the copy, in eval mode
    """
    return _faster(model, fuses=False)


def fold_and_fuse(model: nn.Module) -> nn.Module:
    """Return a copy of a network for evaluation on a CPU: convolutions also apply activations.

    Batch norms are folded (see `fold_batch_norms`), and activations directly after a convolution
    are fused into it (see `convolution.FusedConv`). Modules keep their names and order; a fused
    activation becomes an identity, so that the output of the convolution before it is another than
    in `model`.

    Args:
        model: a network; if it cannot be traced, the copy is unchanged

    Returns:
        the copy, in eval mode
    """
    return _faster(model, fuses=is_fusing_available())


def _faster(model: nn.Module, fuses: bool) -> nn.Module:
    model, activations = copy.deepcopy(model).eval(), {}
    for before, name in _after_convolutions(model):
        convolution, later = model.get_submodule(before), model.get_submodule(name)
        if before in activations:  # nothing can pass it
            continue
        if isinstance(later, nn.BatchNorm2d):
            model.set_submodule(before, fuse_conv_bn_eval(convolution, later))
        elif fuses and is_fusible_convolution(convolution) and is_fusible_activation(later):
            activations[before] = later
        else:
            continue
        model.set_submodule(name, nn.Identity())
    if fuses:
        for name, module in list(model.named_modules()):
            if name and is_fusible_convolution(module):
                model.set_submodule(name, FusedConv(module, activations.get(name)))
    return model


def _after_convolutions(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield names of convolutions, and of the module that alone uses the output of each.

    Identities between both do not count, also those that replaced a module that was yielded
    before. Modules that are called more than once are left out.
    """
    try:
        graph, _ = trace(model)
    except Exception:  # any code that cannot be traced
        return
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")

    def is_once(node: object) -> bool:
        return isinstance(node, fx.Node) and node.op == "call_module" and calls[node.target] == 1

    def is_a(node: object, kind: type[nn.Module]) -> bool:
        return is_once(node) and isinstance(model.get_submodule(node.target), kind)

    for node in graph.nodes:
        before = node.args[0] if is_once(node) and node.args else None
        while is_a(before, nn.Identity) and len(before.users) == 1:
            before = before.args[0]
        if is_a(before, nn.Conv2d) and len(before.users) == 1:
            yield before.target, node.target
