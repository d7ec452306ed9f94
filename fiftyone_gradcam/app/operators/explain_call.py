"""Calls from the browser by the panel "Why?" and the row of heatmaps."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...dataset.fields import classification_fields, field_info
from ...dataset.heatmap_choices import store_choice
from ...dataset.shown import COLORS
from .call import Call, checked_ids
from .params import TEXT, TEXTS
from .without_classifier import without_classifier

if TYPE_CHECKING:
    from ...explain.explanation import Explanation

TOP = 5
MOST_CLASSES = 20  # maximum number of classes to explain at once
LITTLE = 26  # of 255: below a tenth of the strongest evidence, a heatmap can hardly be seen
MOST_NAMES = 2000  # maximum number of classes to choose from


class ExplainSample(Call):
    """Explain one sample, with pictures as data URIs."""

    name = "explain_sample"
    kinds: ClassVar = {
        "id": TEXT,
        "classes": TEXTS,
        "against": TEXT,
        "prediction_field": TEXT,
        "way": TEXT,
    }

    def answer(self, dataset, given: dict) -> dict:
        """Return the explanation, and the choices for further ones.

        Without a classifier, only "missing" is returned at once: what to do in words.
        """
        (sample_id,) = checked_ids([given["id"] or ""])
        known = predicted_fields(dataset)
        field = given["prediction_field"]  # may be left over from another dataset
        field = field if field in known else next(iter(known), "prediction")
        if (missing := without_classifier(dataset, field)) is not None:
            return {"missing": missing}
        # Importing PyTorch takes many seconds on a slow machine.
        from ...explain.contrast import CONTRASTS, DIFFERENCE
        from ...workflow.explaining import explain_sample

        if given["way"] not in (None, *CONTRASTS):
            raise ValueError(f"way must be one of {', '.join(CONTRASTS)}")
        found = explain_sample(
            _sample(dataset, sample_id),
            classes=(given["classes"] or [])[:MOST_CLASSES],
            against=given["against"],
            prediction_field=field,
            way=given["way"] or DIFFERENCE,
        )
        return as_values(found) | {"prediction_field": field, "prediction_fields": known}


class ShowHeatmap(Call):
    """Store which heatmaps the grid shows, for the next time that the dataset is opened."""

    name = "show_heatmap"
    kinds: ClassVar = {"path": TEXT}

    def answer(self, dataset, given: dict) -> dict:
        """Return nothing."""
        dataset.reload()
        store_choice(dataset, given["path"] or None)
        return {}


def _sample(dataset, sample_id: str):
    try:
        return dataset[sample_id]
    except KeyError:
        raise ValueError(f"There is no sample {sample_id} any more. Reload the App") from None


def predicted_fields(dataset) -> list[str]:
    """Return the prediction fields of this plugin, "prediction" first."""
    names = classification_fields(dataset)
    own = [name for name in names if "version" in field_info(dataset, name)]
    return sorted(own, key=lambda name: name != "prediction")


def as_values(found: Explanation) -> dict:
    """Convert an explanation to values for JSON; pictures are gray PNG files as data URIs."""
    from ...explain.methods import METHODS

    top = found.top(TOP)
    shown = dict.fromkeys([name for name, _ in top])
    rest = [one for one in found.maps if one.label not in shown]
    bars = [{"label": name, "probability": value} for name, value in top]
    bars += [{"label": one.label, "probability": one.probability} for one in rest]
    values = {
        "id": found.sample_id,
        "path": found.filepath,
        "width": found.width,
        "height": found.height,
        "box": list(found.box),
        "run": found.run,
        "method": METHODS[found.method].title,
        "layer": found.layer,
        "classes": list(found.classes[:MOST_NAMES]),
        "predicted": found.predicted,
        "label": found.label,
        "label_field": found.label_field,
        "bars": bars,
        "maps": [_map(found, x.label) | {"words": list(x.words)} for x in found.maps],
        "neighbors": [
            {"id": x.sample_id, "path": x.filepath, "label": x.label} for x in found.neighbors
        ],
        "neighbors_are": found.neighbors_are,
        # Those about a heatmap are with it: the panel shows them for the heatmap that it shows.
        "words": [x for x in found.words if x not in found.maps[0].words],
        "notes": list(found.notes),
        "contrast": None,
    }
    if found.contrast is not None:
        own, other = map(_uri, found.contrast_pictures())
        values["contrast"] = {
            "label": found.contrast.label,
            "other": found.contrast.other,
            "own": own,
            "against": other,
            "way": found.contrast.way,
            "colors": list(COLORS["contrast"]),  # the same colors as in the grid
        }
    return values


def _map(found: Explanation, label: str) -> dict:
    """Return the picture of a class, and how much evidence it shows: "none", "little" or "some"."""
    pixels = found.picture(label)
    most = int(pixels.max())
    evidence = "none" if most == 0 else "little" if most < LITTLE else "some"
    return {"label": label, "picture": _uri(pixels), "evidence": evidence}


def _uri(pixels: np.ndarray) -> str:
    from ...explain.render import png_bytes

    return f"data:image/png;base64,{base64.b64encode(png_bytes(pixels)).decode()}"
