"""Tracing of networks with torch.fx, without effects on other threads."""

from __future__ import annotations

import threading

from torch import fx, nn
from torchvision.models.feature_extraction import NodePathTracer

from .convolution import FusedConv

# During a trace, torch.fx replaces methods of nn.Module for the whole process. Two simultaneous
# traces would restore each other's replacements, and leave the process broken.
_ONE_AT_A_TIME = threading.Lock()


class _Tracer(NodePathTracer):
    """Traces only calls in its own thread; networks in other threads run normally."""

    def __init__(self):
        super().__init__()
        self.thread = threading.get_ident()

    def call_module(self, m, forward, args, kwargs):
        if threading.get_ident() != self.thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def is_leaf_module(self, m, module_qualified_name):
        return isinstance(m, FusedConv) or super().is_leaf_module(m, module_qualified_name)

    def getattr(self, attr, attr_val, parameter_proxy_cache):
        if threading.get_ident() != self.thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def trace(model: nn.Module) -> tuple[fx.Graph, dict[str, fx.Node]]:
    """Return the graph of a network in its current mode, and its nodes by name.

    Names are those of torchvision's `get_graph_node_names`.

    Raises:
        Exception: any error of torch.fx for a forward pass that cannot be traced
    """
    with _ONE_AT_A_TIME:
        tracer = _Tracer()
        graph = tracer.trace(model)
    return graph, {name: node for node, name in tracer.node_to_qualname.items()}
