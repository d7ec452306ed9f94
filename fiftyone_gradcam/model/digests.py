"""Digests of networks that were loaded before, by the files of their weights."""

from __future__ import annotations

import os

from .network import Network
from .weights import path_of_weights

MOST_KNOWN = 256
_known: dict[tuple, str] = {}


def known_digest(backbone: str, weights: str, image_size: int, resize: str) -> str | None:
    """The digest of a pretrained backbone, if this process has loaded it from the file as it is.

    Args:
        backbone: a row of the table
        weights: "imagenet", "none", or the path of a file
        image_size, resize: what it is shown
    """
    return _known.get(_key(backbone, weights, image_size, resize))


def note_digest(network: Network, backbone: str, weights: str) -> None:
    """Remember the digest of a network that was loaded a moment ago.

    Args:
        network: split where its family says
        backbone, weights: see `known_digest`; random weights are never the same again
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
    except OSError:  # loading it will say so
        return None
    return backbone, path, file.st_mtime_ns, file.st_size, file.st_ino, image_size, resize
