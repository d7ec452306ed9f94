"""Explanation of a prediction for one image, as plain values to be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..images.geometry import Box
from .measures import Measures
from .render import RESOLUTION, peak_of, render_heatmap
from .sentences import heatmap_words


@dataclass(frozen=True)
class ClassMap:
    """Evidence for a class.

    Attributes:
        label: the class
        probability: of the class, in [0, 1]
        logit: of the class
        cam: (h, w) float32 on the network's grid, at least 0, in logits
        measures: measures of the map; None if the map is zero
    """

    label: str
    probability: float
    logit: float
    cam: np.ndarray
    measures: Measures | None

    @property
    def words(self) -> tuple[str, ...]:
        """Where the evidence for the class is, in sentences."""
        return tuple(heatmap_words(self.label, self.measures))


@dataclass(frozen=True)
class ContrastMap:
    """Evidence for one class and against another.

    Attributes:
        label, other: the classes
        cam: (h, w) float32 on the network's grid: positive for evidence for `label` rather than
            `other`, negative for the reverse
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
        label: of its sample; None if it has none
        cosine: cosine similarity of the features; None if only the order is known
    """

    sample_id: str
    filepath: str
    label: str | None
    cosine: float | None


@dataclass(frozen=True)
class Explanation:
    """Explanation of a prediction for one image.

    Attributes:
        sample_id, filepath: of the sample
        width, height: of the whole upright image, in pixels
        box: the part of the image that the network saw: left, top, right and bottom, relative to
            the image
        run: key of the run, or name of the pretrained network
        method, layer: of the maps
        classes: names of the network's classes
        probabilities: (K,) float32, in the order of `classes`
        predicted: the most probable class
        label: label of the sample in `label_field`; None if it has none
        label_field: the field of the label
        maps: map of the predicted class first, then of the label and of the requested classes, if
            the network knows them
        contrast: of the predicted class and another; None if the network has only one class
        neighbors: the most similar images, the nearest first
        neighbors_are: what the neighbors are, such as "training images"
        words: the explanation in sentences
        notes: remarks on the origin of the explanation, in sentences
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
        """The largest value of all class maps: 255 in their pictures, to make these comparable."""
        return max(peak_of(one.cam) for one in self.maps)

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """Return the most probable classes with their probabilities."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.classes[i], float(self.probabilities[i])) for i in order]

    def map_of(self, label: str) -> ClassMap:
        """Return the map of a class.

        Raises:
            ValueError: if there is no such map
        """
        found = [one for one in self.maps if one.label == label]
        if not found:
            known = ", ".join(one.label for one in self.maps)
            raise ValueError(f"There is no map of {label!r}, only of: {known}")
        return found[0]

    def picture(self, label: str, resolution: int = RESOLUTION) -> np.ndarray:
        """Return the heatmap of a class in the frame of the image, uint8 (H, W).

        255 is the largest value of all maps; 0 marks what the network did not see.

        Args:
            label: a class that has a map
            resolution: pixels of the longer side
        """
        return self._drawn(self.map_of(label).cam, self.peak, resolution)

    def contrast_pictures(self, resolution: int = RESOLUTION) -> tuple[np.ndarray, np.ndarray]:
        """Return pictures of the evidence for the predicted class and for the other class.

        They are like those of `picture`, with a common scale of their own.

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
