"""Locate anomalies in images, by distances between cells of target tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..images.batches import Images
from ..model.network import Network
from ..progress import Report
from .engine import run_pass
from .seen import Seen
from .sinks import Sink

MOST_IMAGES, MOST_CELLS = 200, 3000  # maximum numbers for the banks
EDGE = 0.995  # quantile of the distances of normal cells above which cells are unusual

# Gets the position of an image, its map (h, w) in [0, 1], and its width and height in pixels.
Draw = Callable[[int, np.ndarray, tuple[int, int]], Any]


class NormalCells:
    """Two banks of cells of normal images; images in one bank are compared to the other.

    Args:
        network: its target tensors are compared
        images: image files
        normal: positions of normal images, at least two of which can be decoded
        batch_size, report: of the pass over some of them
    """

    def __init__(
        self, network: Network, images: Images, normal: np.ndarray, batch_size: int, report: Report
    ):
        self.network, self.images, self.batch_size = network, images, batch_size
        sink = _Cells()
        step = -(-len(normal) // MOST_IMAGES)
        run_pass(images, network, [sink], batch_size, report, positions=normal[::step])
        places, cells = list(sink.found), torch.stack(list(sink.found.values()))
        self.side = {place: number % 2 for number, place in enumerate(places)}
        self.mean, deviation = cells.flatten(0, 1).mean(0), cells.flatten(0, 1).std(0)
        self.deviation = deviation.clamp(min=0.1 * float(deviation.mean()) + 1e-12)
        self.banks = [self._thinned(cells[side::2].flatten(0, 1)) for side in (0, 1)]
        usual = np.concatenate([self._far(cells[i], 1 - i % 2).numpy() for i in range(len(cells))])
        self.low, self.edge = float(np.median(usual)), float(np.quantile(usual, EDGE))

    def draw(self, positions: np.ndarray, draw: Draw, report: Report) -> dict[int, Any]:
        """Compute and draw maps of images.

        A cell is 0 if it is closer to normal cells than half of these are, and .5 at the limit of
        what is normal.

        Args:
            positions: positions of the images
            draw: draws a map; called in several threads at once
            report: called to report progress

        Returns:
            the result of `draw` for each position whose image can be decoded
        """
        sink = _Unusual(self, draw)
        run_pass(self.images, self.network, [sink], self.batch_size, report, positions=positions)
        return sink.found

    def map_of(self, position: int, cells: torch.Tensor) -> torch.Tensor:
        """Return how unusual the cells (m, C) of an image are: (m,) in [0, 1]."""
        side = self.side.get(position)
        asked = (0, 1) if side is None else (1 - side,)
        far = sum(self._far(cells, bank) for bank in asked) / len(asked)
        return ((far - self.low) / max(2 * (self.edge - self.low), 1e-12)).clamp(0, 1)

    def _thinned(self, cells: torch.Tensor) -> torch.Tensor:
        return self._standard(cells[:: -(-len(cells) // MOST_CELLS)])

    def _standard(self, cells: torch.Tensor) -> torch.Tensor:
        return (cells - self.mean.to(cells.device)) / self.deviation.to(cells.device)

    def _far(self, cells: torch.Tensor, bank: int) -> torch.Tensor:
        """Return the distance (m,) of each cell (m, C) to its nearest neighbor in a bank."""
        return torch.cdist(self._standard(cells), self.banks[bank].to(cells.device)).min(1).values


def cells_of(seen: Seen) -> torch.Tensor:
    """Return signed square roots (n, h * w, C) of the target tensor of a batch."""
    target = seen.forward.features.detach()
    return (target.abs().sqrt() * target.sign()).flatten(2).transpose(1, 2).float()


class _Cells(Sink):
    """Keeps the cells of each image, (h * w, C)."""

    splits = True

    def __init__(self):
        self.found: dict[int, torch.Tensor] = {}

    def compute(self, seen: Seen) -> torch.Tensor:
        """See `Sink`."""
        return cells_of(seen)

    def take(self, positions: np.ndarray, value: torch.Tensor) -> None:
        """See `Sink`."""
        self.found |= dict(zip(positions.tolist(), value, strict=True))


class _Unusual(Sink):
    """Draws maps of unusual cells."""

    splits = True

    def __init__(self, normal: NormalCells, draw: Draw):
        self.normal, self.draw = normal, draw
        self.found: dict[int, Any] = {}

    def compute(self, seen: Seen) -> torch.Tensor:
        """See `Sink`."""
        cells, shape = cells_of(seen), seen.forward.features.shape[2:]
        own = zip(seen.positions.tolist(), cells, strict=True)
        return torch.stack([self.normal.map_of(place, one).reshape(shape) for place, one in own])

    def write(self, positions: np.ndarray, frames: np.ndarray, found: torch.Tensor) -> list:
        """See `Sink`."""
        own = zip(positions.tolist(), found.numpy(), frames.tolist(), strict=True)
        return [self.draw(place, cells, tuple(frame)) for place, cells, frame in own]

    def take(self, positions: np.ndarray, value: list) -> None:
        """See `Sink`."""
        self.found |= dict(zip(positions.tolist(), value, strict=True))
