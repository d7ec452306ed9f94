"""Graphs of networks by torch.fx, traced without a trace in other threads."""

from __future__ import annotations

import threading

from torch import fx, nn
from torchvision.models.feature_extraction import NodePathTracer

# While torch.fx traces, it replaces methods of nn.Module for the whole process: two traces at once
# would each undo what the other has replaced, and leave the process broken.
_ONE_AT_A_TIME = threading.Lock()


class _Tracer(NodePathTracer):
    """Traces what its own thread calls; networks that run in other threads just run."""

    def __init__(self):
        super().__init__()
        self.thread = threading.get_ident()

    def call_module(self, m, forward, args, kwargs):
        if threading.get_ident() != self.thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr, attr_val, parameter_proxy_cache):
        if threading.get_ident() != self.thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def trace(model: nn.Module) -> tuple[fx.Graph, dict[str, fx.Node]]:
    """The graph of a network in the mode it is in, and its nodes by name.

    Names are those of torchvision's `get_graph_node_names`.

    Raises:
        Exception: whatever a forward that cannot be traced makes torch.fx raise
    """
    with _ONE_AT_A_TIME:
        tracer = _Tracer()
        graph = tracer.trace(model)
    return graph, {name: node for node, name in tracer.node_to_qualname.items()}
