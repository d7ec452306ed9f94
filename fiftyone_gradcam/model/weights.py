"""Models and their weights: built new, from ImageNet, or from a file."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
import torchvision
from torch import nn

from .backbones import get_backbone


def imagenet_weights_file(name: str) -> str | None:
    """Where torchvision keeps the downloaded ImageNet weights of a backbone (None: has none)."""
    if not get_backbone(name).has_imagenet_weights:
        return None
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    return os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(url))


def weights_at_hand(name: str) -> str:
    """What to begin with: "imagenet" if these weights can be had, else "none", and says so."""
    if not get_backbone(name).has_imagenet_weights:
        return "none"
    try:
        load_weights(name, "imagenet")
    except ConnectionError:
        print(f"The ImageNet weights of {name} cannot be downloaded: training from scratch")
        return "none"
    return "imagenet"


def imagenet_classes() -> list[str]:
    """Names of the 1,000 classes of torchvision's ImageNet weights, in their order."""
    return list(torchvision.models.SqueezeNet1_1_Weights.DEFAULT.meta["categories"])


def create_pretrained(name: str, weights: str = "imagenet") -> nn.Module:
    """A backbone with its own last layer, in eval mode: a classifier of the ImageNet classes.

    Args:
        name: a row of the table
        weights: "imagenet", or the path of a file with a whole state dict of this backbone

    Raises:
        ValueError, FileNotFoundError, ConnectionError: as `create_model`; and if the file has no
            last layer for 1,000 classes
    """
    classes = len(imagenet_classes())
    if weights == "none":
        raise ValueError(f"{name!r} without weights predicts nothing. Pass 'imagenet' or a file")
    try:
        model = create_model(name, classes, weights)
    except ConnectionError as error:
        raise ConnectionError(
            f"Could not download the ImageNet weights of {name!r} ({error.__cause__}). Connect to "
            f"the internet, put the file at {imagenet_weights_file(name)}, or pass weights= with "
            f"the path of a file"
        ) from error
    except FileNotFoundError:
        raise FileNotFoundError(
            f"No weights file at {os.path.expanduser(weights)!r}. Pass weights='imagenet', or the "
            f"path of a file"
        ) from None
    key = get_backbone(name).family.last_layer + ".weight"
    state = load_weights(name, weights)
    if key not in state or len(state[key]) != classes:
        raise ValueError(
            f"The weights in {weights!r} have no last layer for the {classes} classes of "
            f"ImageNet. Fine-tune a run from them first"
        )
    return model.eval()


def create_model(
    name: str,
    num_classes: int,
    weights: str = "imagenet",
    hidden: Sequence[int] = (),
    dropout: float | None = None,
) -> nn.Module:
    """Build a backbone for `num_classes` classes.

    Args:
        name: a row of the table, such as "resnet18"
        num_classes: number of classes K
        weights: "imagenet" (downloaded by torchvision once, then cached), "none" (random), or
            the path of a file with a state dict of this backbone. The last layer is new unless
            the file has one for the same number of classes.
        hidden, dropout: see `Backbone.build`

    Raises:
        ValueError: if the backbone is unknown or has no ImageNet weights, or if the file does
            not hold weights of this backbone
        FileNotFoundError: if there is no such file
        ConnectionError: if ImageNet weights are neither cached nor to be downloaded
    """
    backbone = get_backbone(name)
    if weights == "none":
        return backbone.build(num_classes, hidden, dropout)
    state = load_weights(name, weights)
    model = backbone.build(num_classes, hidden, dropout)
    own = model.state_dict()
    last_layer = backbone.family.last_layer + "."
    # Auxiliary classifiers (of GoogLeNet and Inception) serve training from scratch only.
    state = {k: v for k, v in state.items() if not k.lower().startswith("aux")}
    for key in [k for k in state if k.startswith(last_layer)]:
        if key not in own or state[key].shape != own[key].shape:
            del state[key]
    wrong = [k for k, v in state.items() if k in own and v.shape != own[k].shape]
    missing = [k for k in own if k not in state and not k.startswith(last_layer)]
    unknown = [k for k in state if k not in own]
    if wrong or missing or unknown:
        example = (wrong or missing or unknown)[0]
        raise ValueError(
            f"The weights in {weights!r} are not those of {name!r}: {len(missing)} tensors "
            f"missing, {len(unknown)} unknown, {len(wrong)} of another shape (as {example!r}). "
            f"Choose the backbone that the file was saved from"
        )
    model.load_state_dict(state, strict=False)
    return model


def check_weights_file(weights: str) -> str:
    """The path of a file of weights, ~ expanded.

    Raises:
        FileNotFoundError: if there is none
    """
    path = os.path.expanduser(weights)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"No weights file at {path!r}. Pass weights='imagenet', 'none', or the path of a file"
        )
    return path


def load_weights(name: str, weights: str) -> dict[str, torch.Tensor]:
    """The state dict of "imagenet" weights or of a weights file (see `create_model`)."""
    backbone = get_backbone(name)
    if weights == "imagenet":
        if not backbone.has_imagenet_weights:
            raise ValueError(f"{name!r} has no ImageNet weights. Pass weights='none'")
        try:
            entry = torchvision.models.get_model_weights(name).DEFAULT
            return dict(entry.get_state_dict(progress=False, check_hash=True))
        except OSError as error:  # URLError and every network failure are kinds of OSError
            raise ConnectionError(
                f"Could not download the ImageNet weights of {name!r} ({error}). Connect to the "
                f"internet, put the file at {imagenet_weights_file(name)}, pass the path of a "
                f"weights file, or train from scratch with weights='none'"
            ) from error
    path = check_weights_file(weights)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path!r} is not a file of weights that torch can load safely "
            f"({type(error).__name__}). Save it with torch.save(model.state_dict(), path)"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ValueError(
            f"{path!r} holds no state dict. Save it with torch.save(model.state_dict(), path)"
        )
    return {k.removeprefix("module."): v for k, v in state.items()}
