"""Stages of a network: blocks of layers, counted from the image to the logits."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

# Containers whose children are stages; other children of a network are stages themselves.
_CONTAINERS = {
    *("features", "layers", "trunk_output", "blocks"),
    *("encoder", "encoder.layers", "classifier", "heads"),
}
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def stages(model: nn.Module, last_layer: str) -> dict[str, list[str]]:
    """Return the stages of a network from image to logits, without its last layer.

    A stage is a block with weights: a child of the network, or of its container of blocks. A norm
    belongs to the preceding stage, and weights of the network itself (such as a class token) to the
    first stage.

    Args:
        model: a network of the table
        last_layer: name of the layer that computes the logits

    Returns:
        names of the weights of each stage, by the name of the stage
    """
    found: dict[str, list[str]] = {}
    loose: list[str] = []
    for name, module in _blocks(model, ""):
        weights = [f"{name}.{key}" for key, _ in module.named_parameters()]
        if not weights or name == last_layer:
            continue
        if isinstance(module, _NORMS) and found:
            found[list(found)[-1]] += weights
        else:
            found[name] = weights
    placed = {key for keys in found.values() for key in keys}
    for key, _ in model.named_parameters():
        if key not in placed and not key.startswith(last_layer + "."):
            loose.append(key)
    if found:
        found[next(iter(found))] += loose
    return found


def _blocks(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        full = f"{path}{name}"
        if full in _CONTAINERS and any(True for _ in child.children()):
            yield from _blocks(child, f"{full}.")
        else:
            yield full, child
