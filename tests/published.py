"""Files of weights in the forms in which torchvision publishes them, with random values."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from pathlib import Path

import torch
import torchvision
from torch import nn
from torchvision.models.mnasnet import _BN_MOMENTUM, _get_depths, _stack

Form = OrderedDict[str, torch.Tensor]


def fresh(name: str) -> nn.Module:
    """A network of torchvision's with 1,000 classes, auxiliary classifiers included."""
    wanted = {}
    if name in ("googlenet", "inception_v3"):
        wanted = {"aux_logits": True, "init_weights": False}
    elif name.startswith("vit"):  # whose positions are those of the size that it was trained on
        meta = torchvision.models.get_model_weights(name).DEFAULT.meta
        wanted = {"image_size": meta["min_size"][0]}
    return torchvision.models.get_model(name, weights=None, **wanted)


def randomize(model: nn.Module) -> nn.Module:
    """Values that are all different from those of a new network, as half floats to save space."""
    draws = torch.Generator().manual_seed(7)
    for key, value in model.state_dict().items():
        if key.endswith("num_batches_tracked"):
            value.fill_(1234)
        elif key.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=draws)
        elif value.is_floating_point():
            value.uniform_(-0.1, 0.1, generator=draws)
    return model


def as_saved(name: str, model: nn.Module | None = None) -> Form:
    """A state dict as it is saved today: every batch norm with its counter, versions included."""
    state = randomize(model or fresh(name)).state_dict()
    for key, value in state.items():
        state[key] = value.half() if value.is_floating_point() else value
    return state


def as_published(name: str) -> Form:
    """The older form: no counters and no versions, and the names of that time."""
    state = as_saved(name)
    versions = state._metadata
    older = OrderedDict(
        (_older_name(name, key), value)
        for key, value in state.items()
        if not key.endswith("num_batches_tracked")
    )
    if name.startswith("mnasnet"):  # refuses a state without its version
        older._metadata = OrderedDict({"": versions[""]})
    return older


def _older_name(name: str, key: str) -> str:
    if name.startswith("densenet"):
        return re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key)
    if name.startswith("vit"):
        return key.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2.")
    return key


def first_mnasnet(name: str, alpha: float) -> Form:
    """The first version of MNASNet, whose stem is of one width whatever `alpha` is."""
    model, depths = fresh(name), _get_depths(alpha)
    stem = [
        *(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, 1, 1, groups=32, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 16, 1, bias=False), nn.BatchNorm2d(16)),
        _stack(16, depths[2], 3, 2, 3, 3, _BN_MOMENTUM),
    ]
    for place, layer in enumerate(stem):
        model.layers[place] = layer
    model._version = 1
    return as_saved(name, model)


def cache(home: Path, name: str, state: Form) -> Path:
    """Write a file where torchvision keeps the downloaded weights of a network."""
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    path = home / "hub" / "checkpoints" / os.path.basename(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path


def theirs(name: str) -> nn.Module:
    """The network as torchvision loads it from its cache, auxiliary classifiers left out."""
    model = torchvision.models.get_model(name, weights="DEFAULT").eval()
    if name == "inception_v3":
        model.AuxLogits = None
    return model


def differences(model: nn.Module, expected: nn.Module, head: str | None = None) -> list[str]:
    """Names of tensors that one network lacks, or that are not equal bit for bit.

    Args:
        head: what the names of left out tensors begin with
    """
    found, wanted = model.state_dict(), expected.state_dict()
    names = [n for n in {**found, **wanted} if head is None or not n.startswith(head)]
    return [
        n
        for n in names
        if n not in found or n not in wanted or not torch.equal(found[n], wanted[n])
    ]
