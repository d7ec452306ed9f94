"""Where an image is unlike normal ones: distances of the cells of its target tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ..images.batches import Images
from ..model.network import Network
from ..progress import Report

MOST_IMAGES, MOST_CELLS = 200, 3000  # of a bank
EDGE = 0.995  # of the distances of normal cells: what is beyond is unusual


@dataclass(frozen=True)
class UnusualMap:
    """A map of an image.

    Attributes:
        position: of the image
        cells: (h, w) in [0, 1]: 0 as usual as half of the normal cells, .5 at the edge of what is
            normal
        frame: width and height of the image in pixels
    """

    position: int
    cells: np.ndarray
    frame: tuple[int, int]


class NormalCells:
    """Two banks of cells of normal images: one judges the images that the other is made of.

    Args:
        network: whose target tensor is compared
        images: image files
        normal: positions of normal images, at least two that can be decoded
        batch_size: images at a time
        report: of how far it is
    """

    def __init__(
        self, network: Network, images: Images, normal: np.ndarray, batch_size: int, report: Report
    ):
        self.network, self.images, self.batch_size = network, images, batch_size
        step = -(-len(normal) // MOST_IMAGES)
        learned = normal[::step]
        found: dict[int, torch.Tensor] = {}
        for batch in images.batches(batch_size, learned):
            cells = self._cells(batch.images)
            found |= dict(zip(batch.positions.tolist(), cells, strict=True))
            report(len(found), len(learned), "Learning from normal images")
        own = list(found)
        every = torch.cat([found[i] for i in own])
        self.mean, deviation = every.mean(0), every.std(0)
        self.deviation = deviation.clamp(min=0.1 * float(deviation.mean()) + 1e-12)
        self.side = {place: number % 2 for number, place in enumerate(own)}
        self.banks = [
            self._thinned(torch.cat([found[i] for i in own if self.side[i] == side]))
            for side in (0, 1)
        ]
        usual = torch.cat([self._distances(found[i], self.banks[1 - self.side[i]]) for i in own])
        usual = usual.cpu().numpy()
        self.low, self.edge = float(np.median(usual)), float(np.quantile(usual, EDGE))

    def maps(self, positions: np.ndarray, report: Report) -> Iterator[UnusualMap]:
        """Maps of images, in their order; those that cannot be decoded have none."""
        done = 0
        for batch in self.images.batches(self.batch_size, positions):
            cells = self._cells(batch.images)
            shape = self._shape
            for place, own, frame in zip(
                batch.positions.tolist(), cells, batch.frames.tolist(), strict=True
            ):
                side = self.side.get(place)
                sides = (0, 1) if side is None else (1 - side,)
                far = sum(self._distances(own, self.banks[i]) for i in sides) / len(sides)
                values = (far.cpu().numpy() - self.low) / max(2 * (self.edge - self.low), 1e-12)
                yield UnusualMap(place, values.clip(0, 1).reshape(shape), tuple(frame))
            done += len(batch.positions)
            report(done, len(positions), "Drawing what is unusual")

    def _cells(self, images: torch.Tensor) -> torch.Tensor:
        """Signed square roots (n, h * w, C) of the target tensor of images."""
        with torch.no_grad():
            target, _ = self.network.split(self.network.normalize(images))
        self._shape = tuple(target.shape[2:])
        return (target.abs().sqrt() * target.sign()).flatten(2).transpose(1, 2).float()

    def _thinned(self, cells: torch.Tensor) -> torch.Tensor:
        return self._standard(cells[:: -(-len(cells) // MOST_CELLS)])

    def _standard(self, cells: torch.Tensor) -> torch.Tensor:
        return (cells - self.mean) / self.deviation

    def _distances(self, cells: torch.Tensor, bank: torch.Tensor) -> torch.Tensor:
        """Of each cell (m, C) to the nearest of a bank (b, C); (m,)."""
        return torch.cdist(self._standard(cells), bank).min(1).values
