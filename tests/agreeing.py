"""How far two passes of a network over the same images agree."""

import numpy as np

from fiftyone_gradcam.passes.sinks import Sink
from fiftyone_gradcam.review.scores import softmax

MARGIN = 0.01  # between the two highest probabilities; labels of images below may differ


class Maps(Sink):
    """Keeps the logits of a pass, and the maps of the predicted classes."""

    splits = explains = True

    def __init__(self):
        self.logits, self.maps = [], []

    def compute(self, seen):
        (maps,), _ = seen.forward.maps(["predicted"])
        return [seen.logits, maps]

    def take(self, positions, value):
        self.logits.append(value[0].numpy())
        self.maps.append(value[1].numpy())


def agreement(first: Maps, second: Maps) -> tuple[float, float, float]:
    """The share of images with equal labels, of those whose margin is over `MARGIN`; the largest
    difference of a probability; and the correlation of the maps."""
    one, other = (softmax(np.concatenate(sink.logits)) for sink in (first, second))
    top = np.sort(one, 1)[:, -2:]
    sure = top[:, 1] - top[:, 0] > MARGIN
    equal = (one.argmax(1) == other.argmax(1))[sure].mean()
    maps = [np.concatenate(sink.maps).ravel() for sink in (first, second)]
    return float(equal), float(np.abs(one - other).max()), float(np.corrcoef(*maps)[0, 1])
