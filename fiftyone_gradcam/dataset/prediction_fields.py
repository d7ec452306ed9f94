"""The fields of predictions and heatmaps: what they hold, and how it is stored."""

from __future__ import annotations

from ..explain.methods import METHODS
from ..explain.render import HeatmapOptions
from ..explain.signed import AGAINST
from .runs import Run
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
VERSUS = {"versus": "text"}  # of a contrast: the label that the predicted class is compared with
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
    """What is stored with each field, in words and as facts.

    Args:
        run: what predicts
        prediction_field, scores_field: of the predictions
        heatmap_fields: by kind of heatmap
        label_field: the samples' own labels
        options, layer: how and where the heatmaps are made
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
