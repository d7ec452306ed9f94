"""Store anomalies in two fields: one of scores and one of heatmaps."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import fiftyone as fo
import numpy as np

from ..explain.render import render_heatmap, save_heatmap
from ..images.geometry import seen_box
from ..review.anomalies import Anomalies
from .documents import document
from .files import claim_folder, heatmap_folder, sweep_heatmaps
from .prediction_fields import HEATMAP_ATTRIBUTES
from .spool import replace_values
from .storing import Declared
from .tidying import remove_leftovers

ANOMALY, NORMAL = "anomaly", "normal"
ATTRIBUTES = {"score": "float", "false_alarm": "float"}


class AnomalyMaps:
    """Write heatmap files of anomalies, and delete them again if they are not stored.

    Args:
        dataset: the dataset of the samples
        field: the field of the heatmaps
        ids: ids of the samples, by position
        resize: how images were resized to a square
    """

    def __init__(self, dataset: fo.Dataset, field: str, ids: Sequence[str], resize: str):
        self.dataset, self.field, self.ids, self.resize = dataset, field, ids, resize
        self.folder, self.stamp = heatmap_folder(dataset, field), uuid.uuid4().hex[:8]
        self.values: dict[str, dict] = {}

    def draw(self, position: int, cells: np.ndarray, frame: tuple[int, int]) -> None:
        """Write the heatmap file of a sample.

        Args:
            position: the position of the sample
            cells: the heatmap (h, w) in [0, 1]
            frame: width and height of the image in pixels
        """
        path = os.path.join(self.folder, f"{self.ids[position]}-{self.stamp}.png")
        box = seen_box(self.resize, *frame)
        save_heatmap(render_heatmap(cells, *frame, box, 1.0), path)
        self.values[self.ids[position]] = document(
            fo.Heatmap, map_path=path, target=ANOMALY, peak=float(cells.max())
        )

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Delete the new files if the work fails, and the files that they replace otherwise.

        After a failure, files of committed values are kept: these values are stored already, or
        the next call stores them.
        """
        claim_folder(self.dataset)
        try:
            yield
        except BaseException:
            with suppress(Exception):  # no database connection: the next call deletes them
                remove_leftovers(self.dataset)
            raise
        sweep_heatmaps(self.dataset, [self.field])


def write_anomalies(
    dataset: fo.Dataset,
    ids: Sequence[str],
    rows: Mapping[str, int],
    found: Anomalies,
    name: str,
    facts: dict,
    maps: AnomalyMaps | None = None,
) -> None:
    """Store the scores and heatmaps of anomalies.

    Args:
        dataset: the dataset to write to
        ids: ids of all samples of the call; those that are not in `rows` lose earlier values
        rows: by sample id, the row of the sample in `found`
        found: the scores
        name: the field of the scores
        facts: facts to store with the fields
        maps: the heatmaps; None if there are none
    """
    words = f"How unlike {facts['normal']} this is; above {found.threshold:.3g} is an anomaly"
    declared = {name: Declared("classification", words, facts, ATTRIBUTES)}
    values = {i: {name: None} for i in ids}
    for sample_id, row in rows.items():
        share, is_anomaly = float(found.shares[row]), bool(found.anomalous[row])
        values[sample_id][name] = document(
            fo.Classification,
            label=ANOMALY if is_anomaly else NORMAL,
            confidence=1 - share if is_anomaly else share,
            score=float(found.scores[row]),
            false_alarm=share,
        )
    if maps is not None:
        text = f"What is unlike {facts['normal']}"
        declared[maps.field] = Declared("heatmap", text, facts, HEATMAP_ATTRIBUTES)
        for sample_id, row in values.items():
            row[maps.field] = maps.values.get(sample_id)
    replace_values(dataset, declared, values)
