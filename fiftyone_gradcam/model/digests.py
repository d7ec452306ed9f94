"""Digests of networks that this process has loaded, by their weights files."""

from __future__ import annotations

import os

from .network import Network
from .weights import path_of_weights

MOST_KNOWN = 256
_known: dict[tuple, str] = {}


def known_digest(backbone: str, weights: str, image_size: int, resize: str) -> str | None:
    """Return the digest of a pretrained backbone if this process has loaded the same file.

    Args:
        backbone: name of a backbone
        weights: "imagenet", "none", or the path of a file
        image_size, resize: size and resize method of its images
    """
    return _known.get(_key(backbone, weights, image_size, resize))


def note_digest(network: Network, backbone: str, weights: str) -> None:
    """Store the digest of a network that was just loaded.

    Args:
        network: a network with the target layer of its family
        backbone, weights: see `known_digest`; random weights are not stored, because they are never
            the same again
    """
    if key := _key(backbone, weights, network.image_size, network.resize):
        _known[key] = network.digest
        if len(_known) > MOST_KNOWN:
            del _known[next(iter(_known))]


def _key(backbone: str, weights: str, image_size: int, resize: str) -> tuple | None:
    if weights == "none":
        return None
    path = path_of_weights(backbone, weights)
    try:
        file = os.stat(path)
    except OSError:  # loading it raises the error
        return None
    return backbone, path, file.st_mtime_ns, file.st_size, file.st_ino, image_size, resize
