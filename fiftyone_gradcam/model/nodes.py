"""Splitting of a network at a layer given by name, by tracing its forward pass."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import fx, nn

from .families import Head
from .tracing import trace

# Number of tokens before the patches, and rows and columns of the patches unless they form a
# square: (1,), (5, 14, 14).
Tokens = tuple[int, ...]
_RELUS = ("relu", "relu_")
Restore = Callable[[torch.Tensor], torch.Tensor]

# Tracing takes a second, and a network is split once for each batch.
_traced: WeakKeyDictionary[nn.Module, tuple[fx.GraphModule, dict[str, fx.Node]]] = (
    WeakKeyDictionary()
)


def check_layer(model: nn.Module, layer: str) -> None:
    """Check that a layer exists, and cache the trace for threads that split the network there.

    Args:
        model: a network in the mode in which it will be split
        layer: see `split_at`

    Raises:
        ValueError: if there is no such layer
    """
    if not isinstance(layer, str):
        raise ValueError(f"layer must be the name of a layer, such as 'layer3', not {layer!r:.80}")
    _find(trace_of(model)[1], layer)


def split_at(
    model: nn.Module,
    layer: str,
    images: torch.Tensor,
    tokens_last: bool = False,
    tokens: Tokens | None = None,
) -> tuple[torch.Tensor, Head]:
    """Run a network up to a named layer.

    Args:
        model: a network that torch.fx can trace, such as those of torchvision
        layer: name of a module ("layer3"), or of a node as returned by torchvision's
            `get_graph_node_names` ("layer3.1.add")
        images: normalized images (N, 3, H, W)
        tokens_last: whether four-dimensional tensors at the layer are (N, h, w, C)
        tokens: see `as_map`

    Returns:
        the layer's output as (N, C, h, w), which for a transformer only contains the patches; and
        the head, a function from it to logits (N, K)

    Raises:
        ValueError: if there is no such layer, or its output is not a map
    """
    graph, nodes = trace_of(model)
    interpreter = fx.Interpreter(graph)
    last = _find(nodes, layer)
    interpreter.args_iter = iter([images])
    nodes_in_order = list(graph.graph.nodes)
    cut = nodes_in_order.index(last) + 1
    before, after = nodes_in_order[:cut], nodes_in_order[cut:]
    for node in before:
        interpreter.env[node] = interpreter.run_node(node)
        for spent in interpreter.user_to_last_uses.get(node, ()):
            del interpreter.env[spent]  # otherwise every activation would stay in memory
    output = interpreter.env[last]
    target, restore = as_map(output, layer, tokens_last, tokens)

    def head(target: torch.Tensor) -> torch.Tensor:
        # A copy, because later layers may work in place, which is not allowed for a leaf of the
        # graph.
        interpreter.env[last] = restore(target.clone())
        for node in after:
            interpreter.env[node] = interpreter.run_node(node)
        return interpreter.env[after[-1]]

    return target, head


def activated(model: nn.Module, layer: str) -> str:
    """Return the name of the ReLU that is applied to a layer's output, or else of the layer.

    The ReLU must be called as a function, and be the only user of the output: the rest of the
    network only sees the output after it.
    """
    _, nodes = trace_of(model)
    users = list(_find(nodes, layer).users)
    names = {node: name for name, node in nodes.items()}
    if len(users) == 1 and users[0].op != "call_module" and users[0] in names:
        target = users[0].target
        if (target if isinstance(target, str) else getattr(target, "__name__", "")) in _RELUS:
            return names[users[0]]
    return layer


def trace_of(model: nn.Module) -> tuple[fx.GraphModule, dict[str, fx.Node]]:
    """Return the graph of a network in its current mode, and its nodes by name; traced once.

    Raises:
        Exception: see `tracing.trace`
    """
    if model not in _traced:
        graph, names = trace(model)
        _traced[model] = fx.GraphModule(model, graph), names
    return _traced[model]


def _find(nodes: dict[str, fx.Node], layer: str) -> fx.Node:
    """Return the call of a module, or the node of a name, or the last node within a module.

    Modules come first, because torchvision's name of the call of `ln_2` may be `ln_1`.
    """
    calls = [n for n in nodes.values() if n.op == "call_module" and n.target == layer]
    if calls:
        return calls[-1]
    if layer in nodes:
        return nodes[layer]
    inside = [node for name, node in nodes.items() if name.startswith(f"{layer}.")]
    if inside:
        return inside[-1]
    modules = {name.rsplit(".", cut)[0] for name in nodes for cut in range(name.count(".") + 1)}
    near = difflib.get_close_matches(layer, sorted(modules), n=5, cutoff=0.75)
    words = f"Similar: {', '.join(near)}"
    if not near:
        words = "Its modules: " + ", ".join(dict.fromkeys(name.split(".")[0] for name in nodes))
    raise ValueError(f"There is no layer {layer!r} in the network. {words}")


def as_map(
    output: object, layer: str, tokens_last: bool = False, tokens: Tokens | None = None
) -> tuple[torch.Tensor, Restore]:
    """Return a layer's output as (N, C, h, w), and a function that converts it back.

    Args:
        output: (N, C, h, w), (N, h, w, C) or (N, tokens, C)
        layer: its name, for messages
        tokens_last: whether four dimensions are (N, h, w, C)
        tokens: number of tokens before the patches, and their grid; by default (None), a square
            grid, optionally after a class token

    Raises:
        ValueError: if it is not a map
    """
    if isinstance(output, torch.Tensor) and output.dim() == 4:
        if not tokens_last:
            return output, lambda target: target
        return output.permute(0, 3, 1, 2), lambda target: target.permute(0, 2, 3, 1)
    if isinstance(output, torch.Tensor) and output.dim() == 3:
        first, grid = _layout(output.shape[1], tokens)
        if grid is not None:
            target = output[:, first:].transpose(1, 2).unflatten(2, grid)
            before = output[:, :first].detach()
            return target, lambda target: torch.cat([before, target.flatten(2).transpose(1, 2)], 1)
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    problem = "is not a map (N, channels, height, width)"
    if tokens is not None and isinstance(output, torch.Tensor) and output.dim() == 3:
        problem = f"does not match tokens={tokens}"
    raise ValueError(
        f"The output of layer {layer!r} is {shape}, which {problem}. Name an earlier layer"
    )


def _layout(count: int, tokens: Tokens | None) -> tuple[int, tuple[int, int] | None]:
    """Return the number of tokens before the patches, and the grid of the patches or None."""
    first, grid = 0, None
    if tokens is None:
        side = math.isqrt(count)
        first = count - side * side  # a class token comes before the patches
        return first, (side, side) if first in (0, 1) and side > 1 else None
    first, *grid = tokens
    side = math.isqrt(max(0, count - first))
    rows, columns = grid or (side, side)
    return first, (rows, columns) if first + rows * columns == count and count > 1 else None
