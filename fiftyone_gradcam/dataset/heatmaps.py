"""Find and read stored heatmaps."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
from PIL import Image

from ..explain.signed import AGAINST, signed_pixels
from ..similar import did_you_mean
from .fields import field_info


def check_heatmap_field(dataset: fo.Dataset, name: str) -> dict:
    """Check that a field holds heatmaps.

    Returns:
        the facts that `predict` stored with the field

    Raises:
        ValueError: if it does not; the message lists the heatmap fields
    """
    own = heatmap_fields(dataset)
    if name not in own:
        raise ValueError(
            f"{name!r} is not a heatmap field of {dataset.name!r}. {did_you_mean(name, own)}"
            f"Its heatmap fields: {', '.join(own) or 'none; call predict() first'}"
        )
    return field_info(dataset, name)


def is_signed(info: dict) -> bool:
    """Return whether a field holds signed heatmaps, by the facts stored with it.

    The field itself holds the evidence for the class, and a second field the evidence against it.
    In fields of earlier versions, which have no fact "against", the pixel value 128 means zero.
    """
    kind = info.get("kind") or ""
    signed = kind == "contrast" or bool(info.get("heatmap", {}).get("signed"))
    return signed and not kind.startswith(AGAINST)


def against_field(dataset: fo.Dataset, name: str) -> str | None:
    """Return the field with the evidence against the class that belongs to a signed heatmap field.

    Returns:
        the name of the field, also if it was renamed; None if the heatmaps in `name` are not
        signed, or hold both signs in one picture, as earlier versions stored them

    Raises:
        ValueError: if the field does not exist
    """
    info = field_info(dataset, name)
    if not is_signed(info) or "against" not in info:
        return None
    same = ("run", "prediction_field", "heatmap", "label_field")
    wanted = {"kind": AGAINST + info["kind"], **{key: info.get(key) for key in same}}
    infos = {other: field_info(dataset, other) for other in heatmap_fields(dataset)}
    taken = {infos[other].get("against") for other in infos if other != name}
    found = [
        other for other in infos if wanted.items() <= infos[other].items() and other not in taken
    ]
    if not found:
        raise ValueError(
            f"The heatmaps in {name!r} are signed, but the field {info['against']!r} with the "
            f"evidence against the class does not exist. Call predict() again"
        )
    return info["against"] if info["against"] in found else found[0]


def heatmap_fields(dataset: fo.Dataset) -> list[str]:
    """Return the names of the top-level fields that hold heatmaps."""
    kind = {"ftype": fo.EmbeddedDocumentField, "embedded_doc_type": fo.Heatmap}
    return list(dataset.get_field_schema(**kind))


def heatmap_pixels(heatmap: fo.Heatmap) -> np.ndarray:
    """Return the pixels of a heatmap, uint8 (height, width), from its file or from the database.

    Raises:
        OSError: if its file does not exist or is damaged
    """
    if heatmap.map_path:
        with Image.open(heatmap.map_path) as image:
            return np.asarray(image.convert("L"))
    return np.asarray(heatmap.map).astype(np.uint8)


def map_pixels(sample: fo.Sample, name: str, against: str | None) -> np.ndarray:
    """Return the pixels of a sample's heatmap with its sign, uint8 (height, width).

    Args:
        sample: a sample with a heatmap in the field
        name: the field of the heatmap
        against: the result of `against_field`; unless it is None, the pixel value 128 means zero

    Raises:
        OSError: if a file does not exist or is damaged
    """
    pixels = heatmap_pixels(sample[name])
    if against is None:
        return pixels
    if sample[against] is None:
        raise OSError(f"{sample.filepath} has a heatmap in {name!r}, but none in {against!r}")
    return signed_pixels(pixels, heatmap_pixels(sample[against]))
