"""The probabilities of all classes: read from stored predictions, or computed by a forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import fiftyone as fo
import numpy as np

from ..images.batches import Images
from ..progress import Report
from ..review.scores import softmax
from .evaluation import prediction_fields
from .fields import field_info, root_dataset, whole
from .import_record import decode_options
from .run import Run

BATCH = 32


@dataclass(frozen=True)
class ClassProbabilities:
    """The class probabilities of N samples, as predicted by a run.

    Attributes:
        classes: the names of the K classes
        probabilities: (N, K); NaN where an image cannot be decoded
    """

    classes: list[str]
    probabilities: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(N,) booleans, True for samples that have probabilities."""
        return ~np.isnan(self.probabilities[:, 0])

    @property
    def predicted(self) -> list[str | None]:
        """The most probable class of each sample; None where there are no probabilities."""
        best = np.where(self.known, np.nan_to_num(self.probabilities).argmax(1), -1)
        return [self.classes[i] if i >= 0 else None for i in best]


def field_of_run(dataset: fo.Dataset, run: Run) -> str | None:
    """Return the field with predictions of the current version of a run; None if there is none."""
    for name in prediction_fields(dataset):
        info = field_info(dataset, name)
        is_same = info.get("run") == run.key and info.get("version") == run.version
        if is_same and dataset.get_field(f"{name}_scores") is not None:
            return name
    return None


def class_probabilities(
    samples: fo.core.collections.SampleCollection, run: Run, device: str | None, report: Report
) -> ClassProbabilities:
    """Return the probabilities of all classes for some samples, in their order.

    Args:
        samples: a dataset or view
        run: the run whose predictions are read, or computed where they are missing; nothing is
            stored
        device: the torch device for predictions that are computed
        report: called with (images done, total images, message)

    Raises:
        FileNotFoundError, ValueError: if predictions must be computed and the checkpoint file does
            not exist or is damaged
    """
    samples, dataset = whole(samples), root_dataset(samples)
    name = field_of_run(dataset, run)
    paths = samples.values("filepath")
    found = np.full((len(paths), len(run.classes)), np.nan)
    for place, row in enumerate(samples.values(f"{name}_scores") if name else ()):
        if row is not None and len(row) == len(run.classes):
            found[place] = row
    missing = np.flatnonzero(np.isnan(found[:, 0]))
    if len(missing):
        own = [paths[i] for i in missing]
        is_rest = len(own) < len(paths)
        found[missing] = _forward(own, run, dataset, device, report, is_rest)
    return ClassProbabilities(list(run.classes), found)


def _forward(
    paths: list[str],
    run: Run,
    dataset: fo.Dataset,
    device: str | None,
    report: Report,
    is_rest: bool,
) -> np.ndarray:
    """Compute probabilities (N, K) with the network; NaN where an image cannot be decoded."""
    import torch

    network = run.network(device)
    options = decode_options(dataset)
    images = Images(
        *(paths, network.image_size),
        resize=network.resize,
        decode_options=options,
        is_rest=is_rest,
    )
    found = np.full((len(paths), len(run.classes)), np.nan)
    for batch in images.batches(BATCH):
        with torch.no_grad():
            logits = network.logits(network.normalize(batch.images))
        found[batch.positions] = softmax(logits.float().cpu().numpy())
        report(int(batch.positions[-1]) + 1, len(paths), f"Predicting with {run.key!r}")
    return found
