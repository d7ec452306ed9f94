"""Run a network over images and store predictions, scores and heatmaps in the dataset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..explain.signed import AGAINST
from ..images.batches import Images
from ..images.decoders import PILLOW
from ..images.unreachable import is_unreachable
from ..model.network import Network
from ..passes.engine import run_pass
from ..passes.heatmaps import CONTRAST, Heatmap, Heatmaps
from ..passes.precision import DEFAULT
from ..passes.sinks import Predictions, Sink
from ..progress import Report
from ..review.scores import Scores
from .predictions import PredictionWriter


class _Flush(Sink):
    """Write the values that the sinks before it have added to the database."""

    def __init__(self, writer: PredictionWriter):
        self.writer = writer

    def take(self, positions: np.ndarray, value: None) -> None:
        """See `Sink`."""
        self.writer.flush_if_full()


def store_predictions(
    network: Network,
    images: Images,
    ids: list[str],
    labels: np.ndarray,
    writer: PredictionWriter,
    batch_size: int,
    report: Report,
    precision: str = DEFAULT,
    sinks: Sequence[Sink] = (),
    decoder: str = PILLOW,
) -> None:
    """Predict classes, compute heatmaps, and store both, in one pass over the images.

    Args:
        network: the network that predicts
        images: the image files of the samples
        ids, labels: the ids of the N samples, and (N,) class indexes of their labels, -1 for none
        writer: stores the values
        batch_size, report, precision, decoder: see `run_pass`
        sinks: further sinks that receive every batch of the pass

    Raises:
        ValueError: if there is no prediction because no image can be decoded; nothing is stored
    """

    def add_predictions(positions: np.ndarray, logits: np.ndarray, found: Scores) -> None:
        writer.add_predictions([ids[i] for i in positions], logits, found)

    def add_heatmaps(positions: np.ndarray, rows: list[list[Heatmap]]) -> None:
        for position, row in zip(positions, rows, strict=True):
            for one in row:
                if one.stored is None:
                    writer.add_no_heatmap(one.kind, ids[position])
                else:
                    target = network.classes[one.target]
                    kind, own = one.kind.removeprefix(AGAINST), labels[position]
                    versus = {"versus": network.classes[own]} if kind == CONTRAST else {}
                    writer.add_heatmap(
                        one.kind, ids[position], target=target, **versus, **one.stored
                    )
        writer.flush_if_full()

    heatmaps = Heatmaps(
        list(writer.heatmap_fields),
        writer.options,
        network.classes,
        labels,
        network.resize,
        lambda kind, position: writer.heatmap_path(kind, ids[position]),
        add_heatmaps,
    )
    own = [Predictions(labels, add_predictions), heatmaps, _Flush(writer)]
    if ids:
        every = [*own, *sinks]
        run_pass(images, network, every, batch_size, report, precision=precision, decoder=decoder)
    if not writer.has_predictions:
        raise ValueError("No image can be predicted. There are no samples")
    unreachable = [ids[i] for i, error in images.failures.items() if is_unreachable(error)]
    writer.clear([ids[i] for i in images.failures if ids[i] not in set(unreachable)])
    writer.finish(unreachable)
