"""One image, looked at here and now, as a pass shows it to its network."""

from __future__ import annotations

import numpy as np

from ..images.batches import Images
from .precision import FLOAT32, computing
from .seen import Classifier, Seen


def see_one(network: Classifier, images: Images, cellwise: bool = False) -> Seen:
    """The only image of a list, ready to be explained; its network is in eval mode.

    Args:
        network: what looks, in eval mode
        images: of one file, made square as the network wants it
        cellwise: see `sinks.Sink`

    Raises:
        ValueError: if the file cannot be decoded, saying why
    """
    batch = images.load(np.array([0]))
    if not len(batch.positions):
        raise ValueError(f"{images.paths[0]} cannot be decoded: {images.failures[0]}")
    with computing(FLOAT32, network.device):
        pixels = batch.images.to(network.device)
        seen = Seen(batch.positions, batch.frames, pixels, network, True, True, cellwise)
        _ = seen.forward
    return seen
