"""Features of images: read where they are kept, computed and kept where they are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import fiftyone as fo
import numpy as np
import torch

from ..images.batches import Images
from ..model.network import Network
from ..passes.engine import run_pass
from ..passes.seen import Seen
from ..passes.sinks import Sink
from ..progress import Report
from ..review.duplicates import small_pictures
from ..review.pictures import picture_measures
from ..training.frozen import FrozenLater
from .feature_files import rounded
from .feature_sources import Source, measures_source, source_of, thumbnails_source
from .kept_features import Kept, keeping, present
from .run import Run

Reader = Network | FrozenLater | Callable[[torch.Tensor], torch.Tensor | np.ndarray]


class Keep(Sink):
    """Keeps what a pass says of images by one source, where it is not kept as yet.

    Args:
        kept: what there is
        reader: makes uint8 images (n, 3, S, S) features (n, C); or the network of the pass, whose
            pooled features are kept (the means over the cells of its target tensor), which is
            loaded if it has anything to do
        collects: whether all of it is wanted too

    Attributes:
        lacking: (N,) which images there is nothing of
        rows: (N, C) float32 if it is wanted, as it is when it has been stored and read; NaN for
            images that cannot be decoded, (N, 0) if there is nothing of any
    """

    def __init__(self, kept: Kept, reader: Reader, collects: bool = False):
        self.kept, self.reader = kept, reader
        self.splits = isinstance(reader, Network | FrozenLater)
        self.rows = kept.read() if collects else None
        self.lacking = ~(present(self.rows) if collects else kept.has())

    def compute(self, seen: Seen) -> torch.Tensor | None:
        """See `Sink`."""
        if not self.lacking[seen.positions].any():
            return None
        return seen.pooled if self.splits else self.reader(seen.pixels)

    def take(self, positions: np.ndarray, value: torch.Tensor | None) -> None:
        """See `Sink`."""
        if value is None:
            return
        chosen = self.lacking[positions]
        places, values = positions[chosen], np.asarray(value)[chosen]
        if self.rows is not None:
            if not self.rows.shape[1]:
                self.rows = np.full((len(self.rows), values.shape[1]), np.nan, np.float32)
            self.rows[places] = rounded(values)
        self.kept.add(places, values)


def pixel_readers(size: int, resize: str) -> list[tuple[Source, Reader]]:
    """What is kept of images, beside what a network sees in them, and what reads it: thumbnails
    first.

    Args:
        size, resize: how images are shown
    """
    return [
        (thumbnails_source(size, resize), small_pictures),
        (measures_source(size, resize), picture_measures),
    ]


def feature_sinks(
    dataset: fo.Dataset,
    ids: Sequence[str],
    paths: Sequence[str],
    network: Network,
    run: Run | None = None,
) -> list[Keep]:
    """What keeps pooled features, and what is read from pixels, of images that a pass shows.

    Args:
        dataset: that the samples are of
        ids, paths: of the samples
        network: what the pass asks
        run: that it is of, if it is of a run
    """
    readers = [
        (source_of(dataset, network, run), network),
        *pixel_readers(network.image_size, network.resize),
    ]
    return [Keep(Kept(dataset, source, ids, paths), reader) for source, reader in readers]


def features_of(
    dataset: fo.Dataset,
    ids: Sequence[str],
    images: Images,
    network: Network,
    report: Report,
    run: Run | None = None,
    batch_size: int = 64,
) -> np.ndarray:
    """Features of some samples by a network: the means over the cells of its target tensor.

    Args:
        dataset: that the samples are of
        ids: of the samples
        images: their files, shown as this network wants them; those that cannot be decoded are
            named in its `failures`
        network: any
        report: of how far it is
        run: that the network is of, if it is of a run
        batch_size: images at a time, at most

    Returns:
        (N, C) float32; rows of NaN for images that cannot be decoded
    """
    readers = [(source_of(dataset, network, run), network)]
    return read_features(dataset, ids, images, readers, batch_size, report)[0]


def read_features(
    dataset: fo.Dataset,
    ids: Sequence[str],
    images: Images,
    readers: Sequence[tuple[Source, Reader]],
    batch_size: int,
    report: Report,
) -> list[np.ndarray]:
    """Features of some samples by several sources, from one pass over those that lack any.

    Args:
        dataset, ids, images, batch_size, report: see `features_of`
        readers: sources, and what reads images for them; of networks there is one at most

    Returns:
        (N, C) float32 for each source; (N, 0) if no image can be decoded
    """
    sinks = [
        Keep(Kept(dataset, source, ids, images.paths), reader, collects=True)
        for source, reader in readers
    ]
    network = next((x.reader for x in sinks if x.splits and x.lacking.any()), None)
    left = np.flatnonzero(np.any([sink.lacking for sink in sinks], 0))
    with keeping(*(sink.kept for sink in sinks)):
        if len(left):
            network = network.network if isinstance(network, FrozenLater) else network
            message = "Extracting features"
            run_pass(images, network, sinks, batch_size, report, left, message)
    return [sink.rows for sink in sinks]
