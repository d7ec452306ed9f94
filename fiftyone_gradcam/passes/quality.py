"""How faithful the maps of a pass are, image by image."""

from __future__ import annotations

import numpy as np
import torch

from ..explain.cam import PREDICTED
from ..explain.faithfulness import (
    MEASURES,
    RIVALS,
    centred_gaussian,
    faithfulness,
    measure_name,
    random_map,
)
from ..explain.methods import check_method
from ..explain.render import HeatmapOptions
from .seen import Seen
from .sinks import Sink

AT_ONCE = 16  # changed images in one forward pass


class Quality(Sink):
    """Measures the map of the predicted class, a centered Gaussian and a random map.

    Args:
        options: method and sign of the maps
        steps: see `faithfulness`
        seed: of the random maps

    Attributes:
        found: by position of an image, its measures by name
    """

    splits = True

    def __init__(self, options: HeatmapOptions, steps: int, seed: int):
        self.options, self.steps, self.seed = options, steps, seed
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
        maps = (cam.numpy(), centred_gaussian(shape), random_map(shape, random))
        values = {}
        for rival, one in zip(RIVALS, maps, strict=True):
            result = faithfulness(image, one, probability, self.steps)
            values |= {measure_name(m, rival): getattr(result, m) for m in MEASURES}
        return values

    def take(self, positions: np.ndarray, value: list[dict[str, float]]) -> None:
        """See `Sink`."""
        self.found |= dict(zip(positions.tolist(), value, strict=True))
