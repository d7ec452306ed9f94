"""Features of images: read where they are kept, computed and kept where they are not."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np
import torch

from ..images.batches import Images
from ..model.network import Network
from ..passes.features import Reader, pooled_reader
from ..progress import Report
from ..review.duplicates import thumbnails
from ..review.pictures import picture_measures
from .feature_files import rounded
from .kept_features import (
    Kept,
    Source,
    keeping,
    measures_source,
    present,
    source_of,
    thumbnails_source,
)
from .runs import Run


def read_features(
    dataset: fo.Dataset,
    ids: Sequence[str],
    images: Images,
    readers: Sequence[tuple[Source, Reader]],
    batch_size: int,
    report: Report,
) -> list[np.ndarray]:
    """Features of some samples by several sources; images are decoded once, if any source has
    nothing of them as yet.

    Args:
        dataset: that the samples are of
        ids: of the samples
        images: their files; those that cannot be decoded are named in its `failures`
        readers: sources, and what reads images for them
        batch_size: images at a time
        report: of how far it is

    Returns:
        (N, C) float32 for each source, as they are when they have been stored and read; rows of
        images that cannot be decoded are NaN; (N, 0) if none can be
    """
    kept = [Kept(dataset, source, ids, images.paths) for source, _ in readers]
    with keeping(*kept):
        found = [one.read() for one in kept]
        lacking = [~present(values) for values in found]
        left = np.flatnonzero(np.any(lacking, 0))
        done = 0
        for batch in images.batches(batch_size, left) if len(left) else ():
            for number, (_, reader) in enumerate(readers):
                rows = lacking[number][batch.positions]
                if not rows.any():
                    continue
                values = rounded(reader(batch.images[torch.from_numpy(rows)]))
                places = batch.positions[rows]
                if not found[number].shape[1]:
                    shape = (len(images), values.shape[1])
                    found[number] = np.full(shape, np.nan, np.float32)
                found[number][places] = values
                kept[number].add(places, values)
            done += len(batch.positions)
            report(done, len(left), "Extracting features")
    return found


def features_of(
    dataset: fo.Dataset,
    ids: Sequence[str],
    images: Images,
    network: Network,
    report: Report,
    run: Run | None = None,
    batch_size: int = 16,
) -> np.ndarray:
    """Features of some samples by a network: the means over the cells of its target tensor.

    Args:
        dataset, ids, images, report, batch_size: see `read_features`; the images are shown as this
            network wants them
        network: any
        run: that it is of, if it is of a run

    Returns:
        (N, C) float32; rows of NaN for images that cannot be decoded
    """
    source = source_of(dataset, network, run)
    return read_features(
        dataset, ids, images, [(source, pooled_reader(network))], batch_size, report
    )[0]


class FeatureSink:
    """Keeps what a pass over images sees: pooled features of its network, thumbnails, and how light
    and sharp images are.

    It is called by several threads, with batches in any order.

    Args:
        dataset: that the samples are of
        ids, paths: of the samples
        network: what the pass asks
        run: that it is of
    """

    def __init__(
        self,
        dataset: fo.Dataset,
        ids: Sequence[str],
        paths: Sequence[str],
        network: Network,
        run: Run | None = None,
    ):
        seen = network.image_size, network.resize
        sources = source_of(dataset, network, run), thumbnails_source(*seen), measures_source(*seen)
        self.kept = [Kept(dataset, source, ids, paths) for source in sources]
        self._lacking = [~one.has() for one in self.kept]

    def __call__(self, positions: np.ndarray, pooled: np.ndarray, images: torch.Tensor) -> None:
        """Keep what is not kept as yet of a batch.

        Args:
            positions: (n,) of the samples
            pooled: (n, C) means over the cells of the target tensor
            images: (n, 3, S, S) uint8
        """
        of_network = self._lacking[0][positions]
        self.kept[0].add(positions[of_network], pooled[of_network])
        for kept, lacking, reader in zip(
            self.kept[1:], self._lacking[1:], (thumbnails, picture_measures), strict=True
        ):
            wanted = lacking[positions]
            if wanted.any():
                kept.add(positions[wanted], reader(images[torch.from_numpy(wanted)]))
