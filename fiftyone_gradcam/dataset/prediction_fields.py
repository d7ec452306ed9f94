"""The fields of predictions and heatmaps: their types, descriptions and facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import fiftyone as fo

from ..explain.methods import METHODS
from ..explain.render import HeatmapOptions
from ..explain.signed import AGAINST
from .run import Run
from .storing import Declared

PREDICTION_ATTRIBUTES = dict.fromkeys(("label_score", "margin", "entropy"), "float")
HEATMAP_ATTRIBUTES = {
    "target": "text",
    "method": "text",
    "layer": "text",
    "peak": "float",
    "focus": "float",
    "centroid": "list",
    "border": "float",
}
VERSUS = {"versus": "text"}  # of contrasts: the label that the predicted class is compared with
WORDS = {
    "predicted": "the predicted class",
    "label": "the sample's own label",
    "runner_up": "the second most probable class",
    "contrast": "the predicted class minus that of the sample's own label",
}


def declared_fields(
    run: Run,
    prediction_field: str,
    scores_field: str,
    heatmap_fields: dict[str, str],
    label_field: str,
    options: HeatmapOptions,
    layer: str,
) -> dict[str, Declared]:
    """Return the type, description and facts of each field.

    Args:
        run: the run that predicts
        prediction_field, scores_field: the fields of the predictions and of all probabilities
        heatmap_fields: the field of each kind of heatmap
        label_field: the field of the samples' own labels
        options, layer: the options of the heatmaps, and the layer that they are computed at
    """
    facts = {"run": run.key, "version": run.version, "classes": list(run.classes)}
    facts["label_field"] = label_field
    order = f"Class probabilities of run {run.key!r}, in the order of its classes"
    words = f"Predictions of run {run.key!r}"
    found = {
        prediction_field: Declared("classification", words, facts, PREDICTION_ATTRIBUTES),
        scores_field: Declared("floats", order, facts, {}),
    }
    how = {"heatmap": {**options.to_dict(), "layer": layer}}
    title = METHODS[options.method].title
    for kind, name in heatmap_fields.items():
        of = kind.removeprefix(AGAINST)
        words = WORDS.get(of) or f"the class {of.removeprefix('class:')!r}"
        sign = "what speaks against " if of != kind else ""
        text = f"{title} of {sign}{words}, run {run.key!r}"
        info = {"kind": kind, "prediction_field": prediction_field, **facts, **how}
        if against := heatmap_fields.get(AGAINST + kind):
            info["against"] = against
        attributes = HEATMAP_ATTRIBUTES | (VERSUS if of == "contrast" else {})
        found[name] = Declared("heatmap", text, info, attributes)
    return found


def lacking(
    dataset: fo.Dataset,
    ids: Sequence[str],
    labels: Sequence[int],
    classes: Sequence[str],
    prediction_field: str,
    heatmap_fields: Mapping[str, str],
) -> list[int]:
    """Return the positions of samples that lack a prediction or a heatmap that they should have.

    Args:
        dataset: the dataset, with the predictions so far
        ids, labels: ids of the N samples, and the class indexes of their labels, -1 for none
        classes: the class names
        prediction_field, heatmap_fields: see `PredictionWriter`
    """
    if dataset.get_field(prediction_field) is None:
        return list(range(len(ids)))
    rows = dataset.values(["id", f"{prediction_field}.label"])
    predicted = {sample_id: label for sample_id, label in zip(*rows, strict=True) if label}
    maps = {
        kind: set(dataset.exists(name).values("id")) if dataset.get_field(name) else set()
        for kind, name in heatmap_fields.items()
    }

    def is_due(kind: str, sample_id: str, own: int) -> bool:
        kind = kind.removeprefix(AGAINST)
        if kind not in ("label", "contrast"):
            return True
        differs = own >= 0 and classes[own] != predicted[sample_id]
        return own >= 0 if kind == "label" else differs

    return [
        position
        for position, (sample_id, own) in enumerate(zip(ids, labels, strict=True))
        if sample_id not in predicted
        or any(
            is_due(kind, sample_id, own) and sample_id not in found for kind, found in maps.items()
        )
    ]
