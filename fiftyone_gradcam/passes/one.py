"""A pass over a single image, outside a batch run."""

from __future__ import annotations

import numpy as np

from ..images.batches import Images
from .precision import FLOAT32, computing
from .seen import Classifier, Seen


def see_one(network: Classifier, images: Images, cellwise: bool = False) -> Seen:
    """Decode a single image and run the network on it.

    Args:
        network: the network, in eval mode
        images: a list of one file, resized as the network requires
        cellwise: see `sinks.Sink`

    Returns:
        the image as a batch, ready to be explained

    Raises:
        ValueError: if the file cannot be decoded; the message says why
    """
    batch = images.load(np.array([0]))
    if not len(batch.positions):
        raise ValueError(f"{images.paths[0]} cannot be decoded: {images.failures[0]}")
    with computing(FLOAT32, network.device):
        pixels = batch.images.to(network.device)
        seen = Seen(batch.positions, batch.frames, pixels, network, True, True, cellwise)
        _ = seen.forward
    return seen
