"""Image features: read if they are stored, otherwise computed and stored."""

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
    """A sink that stores the features from one source for images that have none stored yet.

    Args:
        kept: the stored features
        reader: a function that computes features (n, C) of uint8 images (n, 3, S, S); or the
            network of the pass, which is loaded only if needed, and whose pooled features (the
            means over the cells of its target tensor) are stored
        collects: also collect the features of all images in `rows`

    Attributes:
        lacking: (N,) booleans, True for images without stored features
        rows: None unless `collects` is True; (N, C) float32 features, rounded as when stored; NaN
            for images that cannot be decoded, (N, 0) if there are no features at all
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
    """Return the sources that need pixels alone, with the functions that compute their features.

    Args:
        size, resize: the size in pixels and the way in which images are resized

    Returns:
        pairs of source and reader; thumbnails come first
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
    """Return sinks that store pooled features and pixel features of the images of a pass.

    Args:
        dataset: the dataset of the samples
        ids, paths: ids and file paths of the samples
        network: the network of the pass
        run: the run of the network, if it has one
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
    """Return features of samples by a network: the means over the cells of its target tensor.

    Args:
        dataset: the dataset of the samples
        ids: ids of the samples
        images: the image files, resized as this network requires; images that cannot be decoded
            are added to its `failures`
        network: any network
        report: called with the progress of the pass
        run: the run of the network, if it has one
        batch_size: the maximum number of images in a batch

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
    """Return features of samples from several sources, in one pass over images that lack any.

    Args:
        dataset, ids, images, batch_size, report: see `features_of`
        readers: pairs of source and reader, with at most one network among the readers

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
