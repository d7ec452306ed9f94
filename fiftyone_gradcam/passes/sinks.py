"""What is kept of the batches of a pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..review.duplicates import small_pictures
from ..review.scores import Scores, scores
from .seen import Seen


class Sink:
    """Takes what it wants of each batch, in three steps.

    Attributes:
        splits: whether it asks for more of the network than logits
        explains: whether it asks for gradients
        cellwise: whether for more than their means over the cells of the target tensor
    """

    splits = explains = cellwise = False

    def compute(self, seen: Seen) -> Any:
        """What it wants of a batch, computed on the device for all images at once: a tensor, or a
        dictionary or list of tensors and other values. On a GPU nothing here waits for it. Called
        in several threads at once."""

    def write(self, positions: np.ndarray, frames: np.ndarray, found: Any) -> Any:
        """What is done behind the device, such as writing files; in several threads at once.

        Args:
            positions: (n,) which of the images
            frames: (n, 2) width and height of each in pixels
            found: what `compute` returned, its tensors on the CPU

        Returns:
            what `take` is given
        """
        return found

    def take(self, positions: np.ndarray, value: Any) -> None:
        """Keep a batch: one after the other, in order, in the thread that called `run_pass`.

        Args:
            positions: (n,) which of the images
            value: what `write` returned
        """

    def finish(self) -> None:
        """Called when all batches were taken."""


class Rows(Sink):
    """Keeps a row of numbers for each image.

    Attributes:
        rows: (N, C) float32, NaN for images that cannot be decoded or were not among the pass;
            (N, 0) if there was none
    """

    def __init__(self, count: int):
        self.count = count
        self.rows = np.empty((count, 0), np.float32)

    def take(self, positions: np.ndarray, value: torch.Tensor | np.ndarray) -> None:
        """See `Sink`."""
        value = np.asarray(value)
        if not self.rows.shape[1]:
            self.rows = np.full((self.count, value.shape[1]), np.nan, np.float32)
        self.rows[positions] = value


class Pooled(Rows):
    """Keeps the target tensor of each image, averaged over its cells."""

    splits = True

    def compute(self, seen: Seen) -> torch.Tensor:
        """See `Sink`."""
        return seen.pooled


class Thumbnails(Rows):
    """Keeps what tells near duplicates without a network (see `duplicates.small_pictures`)."""

    def compute(self, seen: Seen) -> torch.Tensor:
        """See `Sink`."""
        return small_pictures(seen.pixels)


class Logits(Rows):
    """Keeps the logits of each image."""

    def compute(self, seen: Seen) -> torch.Tensor:
        """See `Sink`."""
        return seen.logits


class Predictions(Sink):
    """Hands on logits and scores, batch by batch.

    Args:
        labels: (N,) class index of each image, -1 for none
        add: called with positions (n,), logits (n, K) and their scores
    """

    def __init__(self, labels: np.ndarray, add):
        self.labels, self.add = labels, add

    def compute(self, seen: Seen) -> torch.Tensor:
        """See `Sink`."""
        return seen.logits

    def write(
        self, positions: np.ndarray, frames: np.ndarray, found: torch.Tensor
    ) -> tuple[np.ndarray, Scores]:
        """Scores are computed in float64, which not every device knows, for the whole batch."""
        logits = found.numpy()
        return logits, scores(logits, self.labels[positions])

    def take(self, positions: np.ndarray, value: tuple[np.ndarray, Scores]) -> None:
        """See `Sink`."""
        self.add(positions, *value)
