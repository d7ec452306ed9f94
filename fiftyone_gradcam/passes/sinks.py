"""Sinks: what is kept of the batches of a pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..review.duplicates import small_pictures
from ..review.scores import Scores, scores
from .seen import Seen


class Sink:
    """Receives each batch of a pass, in three steps.

    Attributes:
        splits: whether it needs more of the network than logits
        explains: whether it needs gradients
        cellwise: whether it needs gradients of each cell, not only their means over the cells of
            the target tensor
    """

    splits = explains = cellwise = False

    def compute(self, seen: Seen) -> Any:
        """Compute results for all images of a batch at once, on the device.

        Called in several threads at once. On a GPU, it must not synchronize.

        Returns:
            a tensor, or a dictionary or list of tensors and other values
        """

    def write(self, positions: np.ndarray, frames: np.ndarray, found: Any) -> Any:
        """Process results on the CPU, for example write files. Called in several threads at once.

        Args:
            positions: (n,) positions of the images
            frames: (n, 2) width and height of each image in pixels
            found: the result of `compute`, with tensors on the CPU

        Returns:
            the value passed to `take`
        """
        return found

    def take(self, positions: np.ndarray, value: Any) -> None:
        """Keep the results of a batch.

        Called for one batch after the other, in order, in the thread that called `run_pass`.

        Args:
            positions: (n,) positions of the images
            value: the result of `write`
        """

    def finish(self) -> None:
        """Finish the pass; called after the last batch was taken."""


class Rows(Sink):
    """Keeps a row of numbers for each image.

    Attributes:
        rows: (N, C) float32, NaN for images that cannot be decoded or were not part of the pass;
            (N, 0) if there was no image
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
    """Keeps small pictures, which identify near duplicates without a network.

    See `duplicates.small_pictures`.
    """

    def compute(self, seen: Seen) -> torch.Tensor:
        """See `Sink`."""
        return small_pictures(seen.pixels)


class Logits(Rows):
    """Keeps the logits of each image."""

    def compute(self, seen: Seen) -> torch.Tensor:
        """See `Sink`."""
        return seen.logits


class Predictions(Sink):
    """Passes logits and scores on, batch by batch.

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
        """Compute scores of the whole batch, in float64, which some devices do not support."""
        logits = found.numpy()
        return logits, scores(logits, self.labels[positions])

    def take(self, positions: np.ndarray, value: tuple[np.ndarray, Scores]) -> None:
        """See `Sink`."""
        self.add(positions, *value)
