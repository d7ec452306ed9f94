"""Find the default target layer of an unknown network: the last output that is a spatial map."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ..similar import did_you_mean
from .hooked import HookSplitter
from .nodes import Tokens, activated, as_map, trace_of
from .splitting import Splitter, TracedSplitter

# Modules that return their input in eval mode; in transformers, they may have four-dimensional
# outputs that are not maps. Pooling to a fixed size belongs to the head.
_PASSIVE = (
    *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.Softmax),
    *(nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
)
CLOSE = 1e-3  # tolerance for rounding, relative to the largest value


@dataclass(frozen=True)
class Output:
    """The last output of a module in a forward pass, with the module's name."""

    name: str
    value: torch.Tensor


def outputs_of(
    module: nn.Module, inputs: torch.Tensor, only: str | None = None
) -> tuple[torch.Tensor, list[Output]]:
    """Run a module; return its output, and those of its submodules by their last calls.

    Args:
        module: the module, which is left unchanged
        inputs: normalized images (N, 3, S, S)
        only: name of the module whose output is kept, as a copy that later layers cannot change in
            place; None keeps all outputs, for their shapes
    """
    found: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            found.pop(name, None)
            if isinstance(output, torch.Tensor):
                found[name] = output if only is None else output.clone()

        return hook

    handles = [
        one.register_forward_hook(keep(name))
        for name, one in module.named_modules()
        if name and (name == only if only else not isinstance(one, _PASSIVE))
    ]
    try:
        result = module(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return result, [Output(*pair) for pair in found.items()]


def find_layer(module: nn.Module, inputs: torch.Tensor, tokens: Tokens | None) -> str:
    """Return the name of the last module whose output is a map of the image.

    Without `tokens`, this is the last four-dimensional output with an equal number of rows and
    columns, greater than one. With `tokens`, it is the last output (N, tokens, C) whose patches
    influence the logits, among those with as many channels as the last one.

    Args:
        module: a network
        inputs: one normalized image (1, 3, S, S)
        tokens: see `nodes.as_map`

    Raises:
        ValueError: if there is no such module
    """
    if tokens is not None:
        return _find_tokens(module, inputs, tokens)
    with torch.no_grad():
        _, outputs = outputs_of(module, inputs)
    maps = [i for i, one in enumerate(outputs) if _cells(one.value)]
    if not maps:
        raise ValueError(
            "No module of this network has a four-dimensional output with rows and columns. "
            "Pass layer= with its name, or tokens= (the number of tokens before the patches) if "
            "it is a transformer"
        )
    last = outputs[maps[-1]]
    cells = _cells(last.value)
    later = [one.value for one in outputs[maps[-1] + 1 :] if one.value.dim() == 3]
    counts = [value.shape[1] for value in later if value.shape[1] >= cells]
    if counts:
        raise ValueError(
            f"This network processes {counts[-1]} tokens after its last map, the output of "
            f"{last.name!r}. Pass tokens={counts[-1] - cells} (the number of tokens before the "
            f"patches) to use the tokens, or layer={last.name!r} to use that map"
        )
    return last.name


def _cells(value: torch.Tensor) -> int:
    """Return the number of cells of a tensor as a map; 0 if it is not a map."""
    if value.dim() != 4:
        return 0
    rows, columns = value.shape[1:3] if is_tokens_last(value.shape) else value.shape[2:]
    return rows * columns if rows == columns > 1 else 0


def is_tokens_last(shape: torch.Size) -> bool:
    """Return whether a four-dimensional tensor of square images is (N, h, w, C)."""
    return shape[2] != shape[3] and shape[1] == shape[2] > 1


def _find_tokens(module: nn.Module, inputs: torch.Tensor, tokens: Tokens) -> str:
    with torch.enable_grad():
        logits, outputs = outputs_of(module, inputs.detach().requires_grad_())
        candidates = [one for one in outputs if _is_of_tokens(one, tokens)]
        if not candidates:
            raise ValueError(
                f"No module of this network has an output (N, tokens, channels) that matches "
                f"tokens={tokens}. Pass the number of tokens before the patches, and the rows and "
                f"columns of the patches unless these are equal: (1, 14, 14)"
            )
        width = candidates[-1].value.shape[2]
        candidates = [one for one in candidates if one.value.shape[2] == width]
        values = [one.value for one in candidates]
        # Not the plain sum of the logits, which a final layer norm makes constant.
        weights = torch.linspace(1, 2, logits.numel(), device=logits.device).view_as(logits)
        gradients = torch.autograd.grad((logits * weights).sum(), values, allow_unused=True)
    for one, gradient in zip(reversed(candidates), reversed(gradients), strict=True):
        if gradient is not None and gradient[:, tokens[0] :].any():
            return one.name
    raise ValueError(
        "The logits of this network do not depend on the patches of any layer. Name one with layer="
    )


def _is_of_tokens(one: Output, tokens: Tokens) -> bool:
    if one.value.dim() != 3 or not one.value.requires_grad:
        return False
    try:
        as_map(one.value, one.name, tokens=tokens)
    except ValueError:
        return False
    return True


def find_splitter(
    module: nn.Module, inputs: torch.Tensor, layer: str | None, tokens: Tokens | None
) -> tuple[Splitter, str]:
    """Return how to split a network at a given layer, or at a default layer.

    Args:
        module: a private copy of a network, in eval mode: a hook may stay on it
        inputs: two or more normalized images
        layer: name of a module, or of a node of the traced forward pass; by default (None), it is
            found automatically
        tokens: see `nodes.as_map`

    Returns:
        the splitter, and the reason why the forward pass cannot be traced: "" if it can

    Raises:
        ValueError: if there is no such layer, or its output is not a map
    """
    found = find_layer(module, inputs[:1], tokens) if layer is None else layer
    try:
        trace_of(module)
    except Exception as error:  # any code that cannot be traced
        return _hooked(module, inputs, found, tokens), _first_line(error)
    own = activated(module, found) if layer is None else found
    try:
        return _traced(module, inputs, own, tokens), ""
    except ValueError:  # errors about the layer
        raise
    except Exception as error:
        return _hooked(module, inputs, found, tokens), _first_line(error)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]


class OtherLogitsError(Exception):
    """A traced forward pass differs from the module."""


def _traced(
    module: nn.Module, inputs: torch.Tensor, layer: str, tokens: Tokens | None
) -> TracedSplitter:
    splitter = TracedSplitter(layer, False, tokens)
    splitter.check(module)
    with torch.no_grad():
        shape = splitter.split(module, inputs)[0].shape
        splitter = TracedSplitter(layer, is_tokens_last(shape) and tokens is None, tokens)
        # A trace freezes everything that depends on the number of images, or on their content.
        for part in (inputs, inputs[:1], -inputs):
            logits, outputs = outputs_of(module, part, layer)
            target, found = splitter.run(module, part)
            same = [as_map(x.value, layer, splitter.tokens_last, tokens)[0] for x in outputs]
            if not agree(found, logits) or not all(agree(target, x) for x in same):
                raise OtherLogitsError("its trace gives different values than its forward pass")
        target, head = splitter.split(module, inputs[:1])
    with torch.enable_grad():
        leaf = target.detach().requires_grad_()
        _check_use(leaf, head(leaf), layer)
    return splitter


def _hooked(
    module: nn.Module, inputs: torch.Tensor, layer: str, tokens: Tokens | None
) -> HookSplitter:
    modules = [name for name, _ in module.named_modules() if name]
    if layer not in modules:
        raise ValueError(
            f"There is no module {layer!r} in the network. {did_you_mean(layer, modules)}Its "
            f"modules: {', '.join(name for name, _ in module.named_children())}"
        )
    splitter = HookSplitter(layer, False, tokens)
    splitter.check(module)
    target, _ = splitter.run(module, inputs)
    if target.dim() == 4 and is_tokens_last(target.shape) and tokens is None:
        splitter = HookSplitter(layer, True)
    _check_use(*splitter.at_once(module, inputs[:1]), layer)
    return splitter


def _check_use(leaf: torch.Tensor, logits: torch.Tensor, layer: str) -> None:
    """Check that logits depend on the output of a layer.

    Raises:
        ValueError: naming the layer
    """
    if logits.requires_grad:  # perhaps only by the weights of other layers
        (gradient,) = torch.autograd.grad(logits.sum(), leaf, allow_unused=True)
        if gradient is not None:
            return
    raise ValueError(
        f"The logits do not depend on the output of layer {layer!r}, or the forward pass disables "
        f"gradients after it (torch.no_grad). Name another layer"
    )


def agree(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors are equal up to rounding."""
    if one.shape != other.shape:
        return False
    limit = CLOSE * max(float(other.abs().max()), math.ulp(1.0))
    return bool((one - other).abs().max() <= limit)
