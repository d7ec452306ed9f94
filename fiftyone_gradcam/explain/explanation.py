"""Why a network says of one image what it says: plain values, for whoever draws them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..images.geometry import Box
from .measures import Measures
from .render import RESOLUTION, peak_of, render_heatmap


@dataclass(frozen=True)
class ClassMap:
    """Where the evidence for a class is.

    Attributes:
        label: the class
        probability: of the class, in [0, 1]
        logit: of the class
        cam: (h, w) float32 on the network's grid, at least 0, in logits
        measures: where it is; None of a map that is zero
    """

    label: str
    probability: float
    logit: float
    cam: np.ndarray
    measures: Measures | None


@dataclass(frozen=True)
class ContrastMap:
    """What speaks for one class and against another.

    Attributes:
        label, other: the classes
        cam: (h, w) float32 on the network's grid: above 0 what speaks for `label` rather than for
            `other`, below 0 the reverse
        way: "difference" or "finercam" (see `explain.contrast`)
    """

    label: str
    other: str
    cam: np.ndarray
    way: str


@dataclass(frozen=True)
class Neighbor:
    """A similar image.

    Attributes:
        sample_id, filepath: of its sample
        label: of its sample; None of one without
        cosine: of the features of both; None where only their order is known
    """

    sample_id: str
    filepath: str
    label: str | None
    cosine: float | None


@dataclass(frozen=True)
class Explanation:
    """Why a network says of one image what it says.

    Attributes:
        sample_id, filepath: of the sample
        width, height: pixels of the whole upright image
        box: what the network saw of it, in shares: left, top, right, bottom
        run: key of the run, or name of the pretrained network
        method, layer: of the maps
        classes: names of the network's classes
        probabilities: (K,) float32, in their order
        predicted: the most probable class
        label: of the sample, in `label_field`; None of one without
        label_field: where the label is
        maps: of the predicted class first, then of the label and of the classes asked for, as far
            as the network knows them
        contrast: of the predicted class and another; None of a network with one class
        neighbors: the most similar images, the nearest first
        neighbors_are: what they are, such as "training images"
        words: sentences
        notes: what to know of where this comes from, in sentences
    """

    sample_id: str
    filepath: str
    width: int
    height: int
    box: Box
    run: str
    method: str
    layer: str
    classes: tuple[str, ...]
    probabilities: np.ndarray
    predicted: str
    label: str | None
    label_field: str
    maps: tuple[ClassMap, ...]
    contrast: ContrastMap | None
    neighbors: tuple[Neighbor, ...]
    neighbors_are: str
    words: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def peak(self) -> float:
        """The largest value of all maps of classes: 255 in their pictures, so that they can be
        compared."""
        return max(peak_of(one.cam) for one in self.maps)

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The most probable classes with their probabilities."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.classes[i], float(self.probabilities[i])) for i in order]

    def map_of(self, label: str) -> ClassMap:
        """The map of a class.

        Raises:
            ValueError: if there is none
        """
        found = [one for one in self.maps if one.label == label]
        if not found:
            known = ", ".join(one.label for one in self.maps)
            raise ValueError(f"There is no map of {label!r}, only of: {known}")
        return found[0]

    def picture(self, label: str, resolution: int = RESOLUTION) -> np.ndarray:
        """The heatmap of a class in the frame of the image, uint8 (H, W): 255 is the largest value
        of all maps, 0 where the network saw nothing.

        Args:
            label: a class that there is a map of
            resolution: pixels of the longer side
        """
        return self._drawn(self.map_of(label).cam, self.peak, resolution)

    def contrast_pictures(self, resolution: int = RESOLUTION) -> tuple[np.ndarray, np.ndarray]:
        """Two pictures as `picture`, on one scale of their own: what speaks for the predicted class
        and what speaks for the other.

        Raises:
            ValueError: if there is no contrast
        """
        if self.contrast is None:
            raise ValueError("There is no contrast: the network has one class")
        cam = self.contrast.cam
        own, other = (self._drawn(x, peak_of(cam), resolution) for x in (cam, -cam))
        return own, other

    def _drawn(self, cam: np.ndarray, peak: float, resolution: int) -> np.ndarray:
        return render_heatmap(cam, self.width, self.height, self.box, peak, resolution)
