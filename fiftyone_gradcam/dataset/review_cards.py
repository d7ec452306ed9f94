"""The cards of a review: the values that the App shows for a label."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
from bson import ObjectId

from ..review.kinds import OF_LABELS
from .evidence import evidence_in, kind_in, predicted_in, suggestion_in
from .fields import field_info, is_owned, path_in
from .heatmaps import heatmap_fields
from .review_state import REVIEW, Columns, label_in, stored_values

NEIGHBORS = 3


def cards(dataset: fo.Dataset, columns: Columns, ids: Sequence[str]) -> list[dict]:
    """Return the values that are shown for some samples, in the order of the ids.

    Deleted samples are left out.
    """
    rows = stored_values(dataset, ids, columns)
    maps, neighbors = _maps(dataset, ids), _neighbors(dataset, columns, ids)
    found = []
    for sample_id in ids:
        row = rows.get(sample_id)
        if row is None:
            continue
        kind = kind_in(row, columns)
        label, other = label_in(row, columns), suggestion_in(row, columns)
        own = maps.get(sample_id, {})
        review = row.get(REVIEW) or {}
        evidence, predicted = evidence_in(row, columns), predicted_in(row, columns)
        is_own = review.get("label_field") == columns.label_field
        found.append(
            {
                "id": sample_id,
                "path": row["filepath"],
                "label": label,
                "suggestion": other,
                "suggestion_confidence": _of(row, columns.suggestion, "confidence"),
                "quality": row.get(columns.quality) if columns.quality else None,
                "kind": kind,
                "evidence": evidence,
                "predicted": "" if predicted in evidence else predicted,
                "maps": {name: own[name] for name in {label, other} - {None} if name in own},
                "neighbors": neighbors.get(sample_id, []),
                "suspicious": other is not None or kind in OF_LABELS,
                # A label that has changed since a decision is to be decided again.
                "decision": review.get("label")
                if is_own and review.get("new_label") == label
                else None,
            }
        )
    return found


def _of(row: dict, name: str | None, key: str) -> object:
    return (row.get(name) or {}).get(key) if name else None


def _maps(dataset: fo.Dataset, ids: Sequence[str]) -> dict[str, dict]:
    """Return the path and peak of the heatmap of each class, for some samples."""
    names = [
        name
        for name in heatmap_fields(dataset)
        if is_owned(dataset.get_field(name))
        and not str(field_info(dataset, name).get("kind")).startswith("against:")
        and field_info(dataset, name).get("kind") != "contrast"
    ]
    if not names:
        return {}
    paths = [f"{name}.{key}" for name in names for key in ("target", "map_path", "peak")]
    found: dict[str, dict] = {}
    chosen = {"_id": {"$in": [ObjectId(i) for i in ids]}}
    for row in dataset._sample_collection.find(chosen, paths):
        for name in names:
            one = row.get(name) or {}
            if one.get("map_path") and one.get("target"):
                own = found.setdefault(str(row["_id"]), {})
                own.setdefault(one["target"], {"path": one["map_path"], "peak": one.get("peak")})
    return found


def _neighbors(dataset: fo.Dataset, columns: Columns, ids: Sequence[str]) -> dict[str, list]:
    """Return the most similar images of some samples, with their labels, where they are stored."""
    if not columns.issue:
        return {}
    chosen = {"_id": {"$in": [ObjectId(i) for i in ids]}}
    rows = dataset._sample_collection.find(chosen, [f"{columns.issue}.neighbors"])
    nearest = {
        str(row["_id"]): [str(x) for x in (_of(row, columns.issue, "neighbors") or [])][:NEIGHBORS]
        for row in rows
    }
    every = [ObjectId(i) for own in nearest.values() for i in own if ObjectId.is_valid(i)]
    path = path_in(dataset, columns.label_field)
    found = dataset._sample_collection.find({"_id": {"$in": every}}, ["filepath", path])
    known = {str(row["_id"]): row for row in found}
    return {
        sample_id: [
            {"id": i, "path": known[i]["filepath"], "label": label_in(known[i], columns)}
            for i in own
            if i in known
        ]
        for sample_id, own in nearest.items()
    }
