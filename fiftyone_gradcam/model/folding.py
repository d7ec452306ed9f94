"""The same network, but faster to evaluate: batch norms and activations join convolutions."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .convolution import FusedConv, can_be_fused, can_fuse, is_fast
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
    model = copy.deepcopy(model).eval()
    for before, node in _after_convolutions(model):
        norm = model.get_submodule(node)
        if isinstance(norm, nn.BatchNorm2d):
            folded = fuse_conv_bn_eval(model.get_submodule(before), norm)
            model.set_submodule(before, folded)
            model.set_submodule(node, nn.Identity())
    return model


def fuse_activations(model: nn.Module) -> nn.Module:
    """Return a copy of a network for evaluation on a CPU, with activations fused into convolutions.

    See `convolution.FusedConv`. Modules keep their names and order; a fused activation becomes an
    identity, so that the output of the convolution before it is another than in `model`.

    Args:
        model: a network; if it cannot be traced, or PyTorch cannot do this, the copy is unchanged

    Returns:
        the copy, in eval mode
    """
    model = copy.deepcopy(model).eval()
    if not is_fast():
        return model
    activations = {}
    for before, node in _after_convolutions(model):
        if can_be_fused(model.get_submodule(before)) and can_fuse(model.get_submodule(node)):
            activations[before] = model.get_submodule(node)
            model.set_submodule(node, nn.Identity())
    for name, module in list(model.named_modules()):
        if name and can_be_fused(module):
            model.set_submodule(name, FusedConv(module, activations.get(name)))
    return model


def _after_convolutions(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield names of convolutions and of the module that alone uses the output of each.

    Identities between both do not count. Modules that are called more than once are left out. The
    model may be changed between.
    """
    try:
        graph, _ = trace(model)
    except Exception:  # any code that cannot be traced
        return
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    modules = dict(model.named_modules())

    def is_once(node: object) -> bool:
        return isinstance(node, fx.Node) and node.op == "call_module" and calls[node.target] == 1

    for node in graph.nodes:
        if not is_once(node) or not node.args:
            continue
        before = node.args[0]
        while is_once(before) and isinstance(modules[before.target], nn.Identity):
            if len(before.users) > 1:
                break
            before = before.args[0]
        if (
            is_once(before)
            and isinstance(modules[before.target], nn.Conv2d)
            and len(before.users) == 1
        ):
            yield before.target, node.target
