"""Models with weights: random, from ImageNet, or from a file."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException

import torch
import torchvision
from torch import nn

from ..downloads import download
from .backbones import BACKBONES, get_backbone
from .blank import build_blank, build_unset
from .loading import Loaded, load_into
from .state_file import WeightsError, WeightsFile, check_weights_file, read_weights_file

MOST_NAMED = 3  # networks that a message names
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


class DownloadError(ConnectionError):
    """Weights could not be downloaded; `reason` is what the network said."""

    def __init__(self, words: str, reason: str):
        super().__init__(words)
        self.reason = reason


def imagenet_weights_file(name: str) -> str | None:
    """Return where torchvision stores the ImageNet weights of a backbone; None if it has none."""
    if not get_backbone(name).has_imagenet_weights:
        return None
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    return os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(url))


def weights_at_hand(name: str) -> str:
    """Return "imagenet" if these weights are available, otherwise "none" with a message."""
    if not get_backbone(name).has_imagenet_weights:
        return "none"
    try:
        load_weights(name, "imagenet")
    except ConnectionError:
        print(f"The ImageNet weights of {name} cannot be downloaded: training from scratch")
        return "none"
    return "imagenet"


def imagenet_classes() -> list[str]:
    """Return the names of the 1,000 classes of torchvision's ImageNet weights, in order."""
    return list(torchvision.models.SqueezeNet1_1_Weights.DEFAULT.meta["categories"])


def create_pretrained(name: str, weights: str = "imagenet") -> nn.Module:
    """Create a backbone with its own last layer, in eval mode: an ImageNet classifier.

    Args:
        name: name of a backbone
        weights: "imagenet", or the path of a file with a complete state dict of this backbone

    Raises:
        ValueError, FileNotFoundError, ConnectionError: as `create_model`; and if the file has no
            last layer for 1,000 classes
    """
    classes = len(imagenet_classes())
    if weights == "none":
        raise ValueError(f"{name!r} without weights cannot predict. Pass 'imagenet' or a file")
    try:
        model, loaded = _load_whole(name, classes, weights)
    except DownloadError as error:
        raise ConnectionError(
            f"Could not download the ImageNet weights of {name!r} ({error.reason}). Connect to "
            f"the internet, put the file at {imagenet_weights_file(name)}, or pass weights= with "
            f"the path of a file"
        ) from None
    except FileNotFoundError:
        raise FileNotFoundError(
            f"No weights file at {os.path.expanduser(weights)!r}. Pass weights='imagenet', or the "
            f"path of a file"
        ) from None
    if not loaded.has_head:
        raise ValueError(
            f"The weights in {weights!r} have no last layer for the {classes} classes of "
            f"ImageNet. Fine-tune a run from them first"
        )
    return model


def create_classifier(name: str, num_classes: int, path: str) -> nn.Module:
    """Create a backbone with the last layer of a file, in eval mode.

    Args:
        name: name of a backbone
        num_classes: number of classes K
        path: a file with a complete state dict of this backbone (see `read_weights_file`)

    Raises:
        ValueError: if the file does not contain valid weights of this backbone, or is for another
            number of classes
        FileNotFoundError: if there is no such file
    """
    if path in ("imagenet", "none"):
        raise ValueError(f"weights must be the path of a file here, not {path!r}")
    model, loaded = _load_whole(name, num_classes, path)
    if loaded.has_head:
        return model
    last_layer = f"{get_backbone(name).family.last_layer}.weight"
    last = load_weights(name, path).state.get(last_layer)
    found = "no last layer" if last is None else f"a last layer for {len(last)} classes"
    raise ValueError(
        f"The weights in {path!r} have {found}, but {num_classes} classes are named. Name one "
        f"class for each logit, in their order, or fine-tune a run from these weights"
    )


def create_model(
    name: str,
    num_classes: int,
    weights: str = "imagenet",
    hidden: Sequence[int] = (),
    dropout: float | None = None,
    warn: Callable[[str], None] | None = None,
) -> nn.Module:
    """Build a backbone for `num_classes` classes.

    Args:
        name: name of a backbone, such as "resnet18"
        num_classes: number of classes K
        weights: "imagenet" (downloaded by torchvision once, then cached), "none" (random), or
            the path of a file with a state dict of this backbone (see `read_weights_file`). The
            last layer is new unless the file has one for the same number of classes.
        hidden, dropout: see `Backbone.build`
        warn: called with a sentence for each item of a weights file that is not used

    Raises:
        ValueError: if the backbone is unknown or has no ImageNet weights, or if the file does
            not contain valid weights of this backbone
        FileNotFoundError: if there is no such file
        ConnectionError: if ImageNet weights are not cached and cannot be downloaded
    """
    if weights == "none":
        return get_backbone(name).build(num_classes, hidden, dropout)
    backbone, file = get_backbone(name), load_weights(name, weights)
    model = backbone.build(num_classes, hidden, dropout)
    loaded = _load(model, name, file, weights)
    if warn is not None and weights != "imagenet":  # nobody expects its last layer
        for note in loaded.notes:
            warn(note)
    return model


def _load_whole(name: str, num_classes: int, weights: str) -> tuple[nn.Module, Loaded]:
    """Return a network in eval mode, which is only complete if the file has its last layer."""
    backbone, file = get_backbone(name), load_weights(name, weights)
    model = build_unset(backbone, num_classes)
    return model, _load(model, name, file, weights)


def _load(model: nn.Module, name: str, file: WeightsFile, weights: str) -> Loaded:
    with _of_the_cache(name, weights):
        return load_into(model, get_backbone(name), file, path_of_weights(name, weights))


def check_imagenet_weights(name: str) -> None:
    """Check cached ImageNet weights by loading them into a network without memory of its own.

    Raises:
        WeightsError: if the cached file cannot be used
    """
    backbone, file = get_backbone(name), load_weights(name, "imagenet")
    blank = build_blank(backbone, len(imagenet_classes()))
    with _of_the_cache(name, "imagenet"):
        path = path_of_weights(name, "imagenet")
        if not load_into(blank, backbone, file, path, assign=True).has_head:
            raise WeightsError(f"{path!r} has no last layer for the classes of ImageNet", "")


def load_weights(name: str, weights: str) -> WeightsFile:
    """Return the content of a file of ImageNet weights, or of a given file (see `create_model`)."""
    if weights != "imagenet":
        return read_weights_file(check_weights_file(weights))
    if not get_backbone(name).has_imagenet_weights:
        raise ValueError(f"{name!r} has no ImageNet weights. Pass weights='none'")
    path = imagenet_weights_file(name)
    if not os.path.exists(path):
        _download(name, path)
    with _of_the_cache(name, weights):
        return read_weights_file(path)


def path_of_weights(name: str, weights: str) -> str:
    """Return the path of a backbone's "imagenet" weights, or of the given file."""
    return imagenet_weights_file(name) if weights == "imagenet" else os.path.expanduser(weights)


@contextmanager
def _of_the_cache(name: str, weights: str) -> Iterator[None]:
    """Change the remedy in errors about a cached file, which the user did not save."""
    try:
        yield
    except WeightsError as error:
        if weights != "imagenet":
            raise
        raise WeightsError(
            f"The cached ImageNet weights of {name!r} cannot be used: {error.reason}",
            f"Delete {imagenet_weights_file(name)!r}: it is downloaded again when it is needed",
        ) from None


def _other_networks() -> str:
    """Return the remedy of using a network whose weights were downloaded; empty without one."""
    files = {name: imagenet_weights_file(name) for name in BACKBONES}
    names = [name for name, path in files.items() if path and os.path.isfile(path)]
    shown = " or ".join(f"backbone={name!r}" for name in names[:MOST_NAMED])
    return f"use {shown}, whose weights are on this machine, " if names else ""


def _download(name: str, path: str) -> None:
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    digest = re.search(r"-([0-9a-f]+)\.", os.path.basename(url))  # as torchvision names files
    try:
        download(url, path, f"the ImageNet weights of {name!r}", digest[1] if digest else "")
    except (OSError, HTTPException, ValueError) as error:
        # URLError and all network errors are subclasses of OSError, and so is a full disk.
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise OSError(
                error.errno,
                f"The ImageNet weights of {name!r} cannot be written ({error.strerror}). Free "
                f"space or allow writing there, or set TORCH_HOME to another folder",
                os.path.dirname(path),
            ) from None
        raise DownloadError(
            f"Could not download the ImageNet weights of {name!r} ({error}). Connect to the "
            f"internet, put the file at {path}, {_other_networks()}pass the path of a weights "
            f"file, or train from scratch with weights='none'",
            str(error),
        ) from None  # its own traceback is that of urllib, and says no more
