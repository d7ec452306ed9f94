"""Stored heatmaps, read back."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
from PIL import Image

from ..similar import did_you_mean
from .fields import field_info


def check_heatmap_field(dataset: fo.Dataset, name: str) -> dict:
    """Refuse a field that holds no heatmaps.

    Returns:
        the facts that `predict` stored with it

    Raises:
        ValueError: naming the fields that do
    """
    own = heatmap_fields(dataset)
    if name not in own:
        raise ValueError(
            f"{name!r} is no heatmap field of {dataset.name!r}. {did_you_mean(name, own)}"
            f"Its heatmap fields: {', '.join(own) or 'none; call predict() first'}"
        )
    return field_info(dataset, name)


def is_signed(info: dict) -> bool:
    """Whether 128 stands for zero in the pictures of a field, by the facts stored with it."""
    return info.get("kind") == "contrast" or bool(info.get("heatmap", {}).get("signed"))


def heatmap_fields(dataset: fo.Dataset) -> list[str]:
    """Names of the top-level fields that hold heatmaps."""
    schema = dataset.get_field_schema(ftype=fo.EmbeddedDocumentField, embedded_doc_type=fo.Heatmap)
    return [name for name in schema if "." not in name]


def heatmap_pixels(heatmap: fo.Heatmap) -> np.ndarray:
    """The uint8 picture (height, width) of a heatmap, from its file or from the database.

    Raises:
        OSError: if its file is gone or damaged
    """
    if heatmap.map_path:
        with Image.open(heatmap.map_path) as image:
            return np.asarray(image.convert("L"))
    return np.asarray(heatmap.map).astype(np.uint8)
