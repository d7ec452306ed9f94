"""Small pictures of samples for a report: JPEG files in memory."""

from __future__ import annotations

import io

import fiftyone as fo
from PIL import Image

from ..explain.overlay import fit, overlay
from ..images.decode import DecodeOptions, ImageError, decode
from ..reports.facts import Picture
from .heatmaps import map_pixels

SIDE, QUALITY = 220, 80


def picture_of(path: str, options: DecodeOptions) -> Picture | None:
    """A thumbnail; None if the image cannot be decoded."""
    image = _thumbnail(path, options)
    return None if image is None else _saved(image)


def overlay_of(
    sample: fo.Sample, heatmap_field: str, against: str | None, signed: bool, options: DecodeOptions
) -> tuple[Picture | None, bool]:
    """A thumbnail with the heatmap over it, in jet at half opacity.

    Args:
        sample: it has a heatmap in the field
        heatmap_field, against, signed: see `heatmaps.map_pixels` and `heatmaps.is_signed`
        options: how unusual files are decoded

    Returns:
        the picture, None if the image cannot be decoded; and whether the heatmap is in it
    """
    image = _thumbnail(sample.filepath, options)
    if image is None:
        return None, False
    try:
        pixels = map_pixels(sample, heatmap_field, against)
    except OSError:  # its file is gone
        return _saved(image), False
    return _saved(overlay(image, pixels, "jet", 0.5, signed)), True


def _thumbnail(path: str, options: DecodeOptions) -> Image.Image | None:
    try:
        image = decode(path, SIDE, options).image
    except (ImageError, OSError):
        return None
    return image if max(image.size) <= SIDE else fit(image, box=SIDE)


def _saved(image: Image.Image) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return Picture(buffer.getvalue(), *image.size)
