"""How anomalies are stored: a field of scores, and one of heatmaps."""

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
    """Heatmap files of what is unusual, which go again if they are not stored.

    Args:
        dataset: that they are of
        field: of the heatmaps
        ids: of the samples, by position
        resize: how images were made square
    """

    def __init__(self, dataset: fo.Dataset, field: str, ids: Sequence[str], resize: str):
        self.dataset, self.field, self.ids, self.resize = dataset, field, ids, resize
        self.folder, self.stamp = heatmap_folder(dataset, field), uuid.uuid4().hex[:8]
        self.values: dict[str, dict] = {}

    def draw(self, position: int, cells: np.ndarray, frame: tuple[int, int]) -> None:
        """Write the file of a map (h, w) in [0, 1] of an image of some width and height."""
        path = os.path.join(self.folder, f"{self.ids[position]}-{self.stamp}.png")
        box = seen_box(self.resize, *frame)
        save_heatmap(render_heatmap(cells, *frame, box, 1.0), path)
        self.values[self.ids[position]] = document(
            fo.Heatmap, map_path=path, target=ANOMALY, peak=float(cells.max())
        )

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Delete the files if the work fails, and those that they replace if it does not.

        Files of values that are decided on stay: the values may be stored already, or wait for the
        next call.
        """
        claim_folder(self.dataset)
        try:
            yield
        except BaseException:
            with suppress(Exception):  # of a database that is gone: then the next call deletes them
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
    """Store what was found.

    Args:
        dataset: where to
        ids: of all samples of the call; those without a row lose earlier values
        rows: row in `found` of each sample
        found: scores
        name: of the field
        facts: for the record
        maps: that were drawn; None for none
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
