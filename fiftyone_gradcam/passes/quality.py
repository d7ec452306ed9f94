"""Faithfulness of the maps in a pass, for each image."""

from __future__ import annotations

import numpy as np
import torch

from ..explain.cam import PREDICTED
from ..explain.faithfulness import (
    MEASURES,
    RIVALS,
    ROAD,
    centered_gaussian,
    faithfulness,
    measure_name,
    random_map,
)
from ..explain.methods import check_method
from ..explain.render import HeatmapOptions
from .seen import Seen
from .sinks import Sink

AT_ONCE = 16  # perturbed images in one forward pass


class Quality(Sink):
    """Measures the map of the predicted class, a centered Gaussian and a random map.

    Args:
        options: method and sign of the maps
        steps: see `faithfulness`
        seed: for the random maps, and the noise of ROAD
        road: whether to also compute ROAD

    Attributes:
        measures: names of the measures
        found: maps the position of each image to a dictionary of measures
    """

    splits = True

    def __init__(self, options: HeatmapOptions, steps: int, seed: int, road: bool = False):
        self.options, self.steps, self.seed, self.road = options, steps, seed, road
        self.measures = (*MEASURES, ROAD) if road else MEASURES
        method = check_method(options.method)
        self.explains, self.cellwise = method.explains, method.cellwise
        self.found: dict[int, dict[str, float]] = {}

    @torch.no_grad()
    def compute(self, seen: Seen) -> list[dict[str, float]]:
        """See `Sink`."""
        (maps,), (classes,) = seen.forward.maps(
            [PREDICTED], self.options.method, self.options.signed
        )
        rows = zip(seen.positions.tolist(), seen.inputs, maps.float().cpu(), classes, strict=True)
        return [self._measured(seen, *row) for row in rows]

    def _measured(
        self, seen: Seen, position: int, image: torch.Tensor, cam: torch.Tensor, target
    ) -> dict[str, float]:
        def probability(pixels: torch.Tensor) -> torch.Tensor:
            parts = [seen.network.module(part) for part in pixels.split(AT_ONCE)]
            return torch.cat(parts).softmax(1)[:, target]

        random = np.random.default_rng((self.seed, position))
        shape = tuple(cam.shape)
        maps = (cam.numpy(), centered_gaussian(shape), random_map(shape, random))
        values = {}
        for rival, one in zip(RIVALS, maps, strict=True):
            noise = np.random.default_rng((self.seed, position, 1)) if self.road else None
            result = faithfulness(image, one, probability, self.steps, noise)
            values |= {measure_name(m, rival): getattr(result, m) for m in self.measures}
        return values

    def take(self, positions: np.ndarray, value: list[dict[str, float]]) -> None:
        """See `Sink`."""
        self.found |= dict(zip(positions.tolist(), value, strict=True))
