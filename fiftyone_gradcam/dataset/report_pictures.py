"""Thumbnails of samples for a report, as JPEG files in memory."""

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
    """Return a thumbnail of an image; None if the image cannot be decoded."""
    image = _thumbnail(path, options)
    return None if image is None else _saved(image)


def overlay_of(
    sample: fo.Sample, heatmap_field: str, against: str | None, signed: bool, options: DecodeOptions
) -> tuple[Picture | None, bool]:
    """Return a thumbnail of a sample with its heatmap drawn over it, in jet at half opacity.

    Args:
        sample: a sample with a heatmap in the field
        heatmap_field, against, signed: see `heatmaps.map_pixels` and `heatmaps.is_signed`
        options: how unusual files are decoded

    Returns:
        the picture, or None if the image cannot be decoded; and whether it shows the heatmap
    """
    image = _thumbnail(sample.filepath, options)
    if image is None:
        return None, False
    try:
        pixels = map_pixels(sample, heatmap_field, against)
    except OSError:  # the heatmap file does not exist
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
