"""How anomalies are stored: a field of scores, and one of heatmaps."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Sequence

import fiftyone as fo

from ..explain.render import render_heatmap, save_heatmap
from ..images.geometry import seen_box
from ..passes.unusual import UnusualMap
from ..review.anomalies import Anomalies
from .files import claim_folder, heatmap_folder, sweep_heatmaps
from .prediction_fields import HEATMAP_ATTRIBUTES, document
from .spool import replace_values
from .storing import Declared

ANOMALY, NORMAL = "anomaly", "normal"
ATTRIBUTES = {"score": "float", "false_alarm": "float"}


def write_anomalies(
    dataset: fo.Dataset,
    ids: Sequence[str],
    rows: dict[str, int],
    found: Anomalies,
    name: str,
    facts: dict,
    maps: tuple[str, Iterable[UnusualMap], str] | None = None,
) -> None:
    """Store what was found.

    Args:
        dataset: where to
        ids: of all samples of the call; those without a row lose earlier values
        rows: row in `found` of each sample
        found: scores
        name: of the field
        facts: for the record
        maps: field of heatmaps, the maps, and how images are made square; None for none
    """
    words = f"How unlike {facts['normal']} this is; above {found.threshold:.3g} is an anomaly"
    declared = {name: Declared("classification", words, facts, ATTRIBUTES)}
    values = {i: {name: None} for i in ids}
    for sample_id, row in rows.items():
        share = float(found.shares[row])
        is_anomaly = bool(found.anomalous[row])
        values[sample_id][name] = document(
            fo.Classification,
            label=ANOMALY if is_anomaly else NORMAL,
            confidence=1 - share if is_anomaly else share,
            score=float(found.scores[row]),
            false_alarm=share,
        )
    if maps is None:
        replace_values(dataset, declared, values)
        return
    heatmap_field, drawn, resize = maps
    text = f"What is unlike {facts['normal']}"
    declared[heatmap_field] = Declared("heatmap", text, facts, HEATMAP_ATTRIBUTES)
    for row in values.values():
        row[heatmap_field] = None
    folder, stamp, files = heatmap_folder(dataset, heatmap_field), uuid.uuid4().hex[:8], []
    claim_folder(dataset)
    try:
        for one in drawn:
            path = os.path.join(folder, f"{ids[one.position]}-{stamp}.png")
            box = seen_box(resize, *one.frame)
            files.append(path)
            save_heatmap(render_heatmap(one.cells, *one.frame, box, 1.0), path)
            values[ids[one.position]][heatmap_field] = document(
                fo.Heatmap, map_path=path, target=ANOMALY, peak=float(one.cells.max())
            )
        replace_values(dataset, declared, values)
    except BaseException:
        for path in files:
            if os.path.exists(path):
                os.unlink(path)
        raise
    sweep_heatmaps(dataset, [heatmap_field])
