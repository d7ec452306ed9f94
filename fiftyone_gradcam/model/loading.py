"""Load weights into a network as torchvision does, and report what does not fit."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import nn

from .backbones import Backbone
from .state_file import State, WeightsError, WeightsFile

# Weights of networks are far below; a single flipped bit in a damaged file can give a value of
# 1e30.
LARGEST = 1e10


@dataclass(frozen=True)
class Loaded:
    """Result of loading a file.

    Attributes:
        has_head: whether the last layer comes from the file
        notes: sentences about what was not used
    """

    has_head: bool
    notes: tuple[str, ...] = ()


def load_into(
    model: nn.Module, backbone: Backbone, file: WeightsFile, path: str, assign: bool = False
) -> Loaded:
    """Load all weights of a file, except a last layer for other classes.

    Files of earlier versions are converted as in torch and torchvision: batch norms without
    `num_batches_tracked`, names of DenseNet's and ViT's layers, MNASNet's first layer.

    Args:
        model: a network of this backbone, with new layers for its own classes
        backbone: its entry in the table of backbones
        file: the content of the file
        path: its path, for messages
        assign: use the file's own tensors in the network, which may be blank, instead of copies

    Raises:
        WeightsError: if they are not the weights of this network, or invalid; the network is
            unusable then
    """
    own, last_layer = model.state_dict(), f"{backbone.family.last_layer}."
    head = {name for name in file.state if name.startswith(last_layer)}
    shared = [name for name in head if name in own]
    has_head = bool(shared) and all(file.state[n].shape == own[n].shape for n in shared)
    # Auxiliary classifiers (of GoogLeNet and Inception) are only used in training from scratch.
    left = {name for name in file.state if name.lower().startswith("aux")}
    beside = {name for name in file.beside if name not in own} - left - head
    left |= beside if has_head else beside | head
    state = OrderedDict((n, v) for n, v in file.state.items() if n not in left)
    _check_kinds(state, own, file, path)
    wanted = OrderedDict(state)
    if not has_head:
        wanted.update((n, v) for n, v in own.items() if n.startswith(last_layer))
    versions = OrderedDict(getattr(file.state, "_metadata", {}))
    # Weights without a version are assumed to be of the network's current version.
    versions.setdefault("", {"version": model._version})
    wanted._metadata = versions
    if reason := _load(model, own, _renamed(model, wanted), assign):
        raise WeightsError(
            f"The weights in {path!r} are not those of {backbone.name!r}: {reason}",
            "Choose the backbone that they were saved from; if it is this one, the file is "
            "incomplete: save it again with torch.save(model.state_dict(), path)",
        )
    _check_values(state, file, path)
    return Loaded(has_head, tuple(_notes(file, sorted(head), sorted(beside), has_head, path)))


def _renamed(model: nn.Module, state: State) -> State:
    """Return a state with its names changed as in torchvision's own loading of DenseNets."""
    rename = getattr(sys.modules[type(model).__module__], "_load_state_dict", None)
    if rename is None:
        return state
    taken: list[State] = []
    rename(
        SimpleNamespace(load_state_dict=taken.append),
        SimpleNamespace(get_state_dict=lambda **_: state),
        progress=False,
    )
    return taken[0]


def _load(model: nn.Module, own: State, state: State, assign: bool) -> str:
    """Load all of a state; return what does not fit, or "" if everything fits."""
    reason, wrong = "", []
    try:
        missing, unknown = model.load_state_dict(state, strict=False, assign=assign)
        if not missing and not unknown:
            return ""
    except Exception as error:  # wrong shapes, or a version that torchvision does not know
        reason = str(error).strip().splitlines()[-1].strip()
        wrong = [n for n, value in state.items() if n in own and value.shape != own[n].shape]
        missing, unknown = _others_than(wrong, model, own, state, assign)
    if wrong:
        found, wanted = (" x ".join(map(str, s[wrong[0]].shape)) for s in (state, own))
        reason = f"such as {wrong[0]!r}, {found} for {wanted}"
    elif missing or unknown:
        reason = f"such as {[*missing, *unknown][0]!r}"
    return (
        f"{len(missing)} tensors missing, {len(unknown)} unknown, {len(wrong)} of another shape "
        f"({reason})"
    )


def _others_than(
    wrong: list[str], model: nn.Module, own: State, state: State, assign: bool
) -> tuple[list[str], list[str]]:
    """Return which tensors are missing and unknown, other than those of a wrong shape."""
    rest = OrderedDict((n, own[n] if n in wrong else value) for n, value in state.items())
    rest._metadata = state._metadata
    try:
        missing, unknown = model.load_state_dict(rest, strict=False, assign=assign)
    except Exception:  # earlier names with other shapes: compare the names in the file
        missing = [n for n in own if n not in state and not n.endswith(".num_batches_tracked")]
        unknown = [n for n in state if n not in own]
    return list(missing), list(unknown)


def _check_kinds(state: State, own: State, file: WeightsFile, path: str) -> None:
    """Raise an error for tensors that are not plain numbers, with their names in the file."""
    for name, value in state.items():
        floats = own[name].is_floating_point() if name in own else True
        kind = _odd_kind(value, floats and not name.endswith("num_batches_tracked"))
        if kind:
            raise WeightsError(
                f"{file.original[name]!r} in {path!r} {kind}",
                "Save the plain tensors of the network: torch.save(model.state_dict(), path)",
            )


def _odd_kind(value: torch.Tensor, floats: bool) -> str:
    if value.is_meta:
        return "has no values, only a shape (device 'meta')"
    if value.is_quantized:
        return f"is quantized ({value.dtype})"
    if value.is_nested or value.layout is not torch.strided:
        return f"is not a dense tensor ({value.layout})"
    if floats and not value.is_floating_point():
        return f"contains {value.dtype}, but the network has floating-point numbers"
    return ""


def _check_values(state: State, file: WeightsFile, path: str) -> None:
    """Raise an error for values that are not finite in float32, or too large for finite results."""
    for name, value in state.items():
        if not value.is_floating_point() or not value.numel():
            continue
        largest = float(value.float().abs().max())  # NaN if any value is NaN
        if LARGEST < largest < math.inf:
            raise WeightsError(
                f"{file.original[name]!r} in {path!r} contains a value of {largest:.3g}, which is "
                f"too large for a network: the file is damaged",
                "Download it or save it again",
            )
        if not largest <= LARGEST:
            count = int((~torch.isfinite(value.float())).sum())
            raise WeightsError(
                f"{file.original[name]!r} in {path!r} contains NaN or infinity: {count:,} of "
                f"{value.numel():,} values, so that the network cannot be used",
                "Use weights from before the training diverged",
            )


def _notes(
    file: WeightsFile, head: list[str], beside: list[str], has_head: bool, path: str
) -> Iterator[str]:
    if not has_head:
        if head:
            names = ", ".join(_with_shape(n, file.state) for n in head)
            yield f"The last layer in {path!r} is for other classes ({names}) and is not used"
        else:
            yield f"There is no last layer in {path!r}: a new one is used"
    if beside:
        more = f" and {len(beside) - 3} more" if len(beside) > 3 else ""
        yield f"Not used from {path!r}: {', '.join(beside[:3])}{more}, not part of the network"


def _with_shape(name: str, state: State) -> str:
    return f"{name} {' x '.join(map(str, state[name].shape)) or 'one number'}"
