"""Rendering: maps on the model's grid become 8-bit pictures in the frame of the image."""

from __future__ import annotations

import struct
import zlib
from dataclasses import asdict, dataclass

import numpy as np

from ..disk import whole_file, write_new
from ..images.geometry import INTERPOLATIONS, WHOLE, Box, placed, to_frame
from .methods import check_method

RESOLUTION = 224
SCALES = ("image", "pair", "run")
STORAGES = ("file", "database")


@dataclass(frozen=True)
class HeatmapOptions:
    """Options for computing and storing heatmaps.

    Attributes:
        method: see `explain.methods.METHODS`
        signed: keep evidence against the class
        layer: layer whose output is the target tensor; by default (None), that of the backbone
        scale: scale each heatmap by its own peak ("image"), all heatmaps of a sample by one factor,
            so that they can be compared ("pair"), or all heatmaps of a call by one factor ("run")
        resolution: pixels of the longer side, at least 8; never more than the image has
        interpolation: "bicubic", "bilinear" or "nearest"
        storage: PNG files ("file"), or arrays within the samples ("database")

    Raises:
        ValueError: if an option is out of range
    """

    method: str = "gradcam"
    signed: bool = False
    layer: str | None = None
    scale: str = "image"
    resolution: int = RESOLUTION
    interpolation: str = "bicubic"
    storage: str = "file"

    def __post_init__(self):
        check_method(self.method)
        for name, known in (
            ("scale", SCALES),
            ("interpolation", tuple(INTERPOLATIONS)),
            ("storage", STORAGES),
        ):
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        if not isinstance(self.signed, bool):
            raise ValueError(f"signed must be True or False, not {self.signed!r}")
        number = self.resolution
        if isinstance(number, bool) or not isinstance(number, int) or number < 8:
            raise ValueError(f"resolution must be a whole number of at least 8, not {number!r}")

    def to_dict(self) -> dict:
        """Return a JSON-ready dictionary."""
        return asdict(self)


def heatmap_size(width: int, height: int, longest: int = RESOLUTION) -> tuple[int, int]:
    """Return the size (width, height) in pixels at which a heatmap of an image is stored.

    This is the size of the image, reduced to at most `longest` pixels on the longer side: smooth
    maps lose nothing, and the files are much smaller.
    """
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def peak_of(cam: np.ndarray) -> float:
    """Return the largest absolute value of a map."""
    return float(np.abs(cam).max())


def render_heatmap(
    cam: np.ndarray,
    width: int,
    height: int,
    box: Box = WHOLE,
    peak: float | None = None,
    resolution: int = RESOLUTION,
    interpolation: str = "bicubic",
) -> np.ndarray:
    """Draw the evidence for a class in the frame of its image.

    Evidence against it is drawn separately (see `signed_pixels`).

    Args:
        cam: (h, w) array; negative values are drawn as 0
        width, height: of the whole upright image, in pixels
        box: the part of the image that the model saw
        peak: the value that is drawn as 255; by default (None), the map's own peak
        resolution, interpolation: see `HeatmapOptions`

    Returns:
        uint8 array in the frame of the image: from 1 where the map is zero to 255 at the peak. It
        is 0, which the App draws as transparent, outside of what the model saw, and everywhere if
        the whole map is zero. Zeros inside a map would make holes in its colors.
    """
    size = heatmap_size(width, height, resolution)
    peak = peak_of(cam) if peak is None else peak
    if not np.any(cam) or peak <= 0:
        return np.zeros(size[::-1], np.uint8)
    smooth = to_frame(1 + (254 / peak) * cam, *size, box, interpolation)
    pixels = np.rint(smooth.clip(1, 255)).astype(np.uint8)
    if box != WHOLE:
        left, top, right, bottom = placed(box, *size)
        seen = pixels[top:bottom, left:right].copy()
        pixels.fill(0)
        pixels[top:bottom, left:right] = seen
    return pixels


def save_heatmap(pixels: np.ndarray, path: str) -> None:
    """Write a grayscale PNG, which appears only when it is complete.

    Args:
        pixels: uint8 array (height, width)
        path: the file
    """
    with whole_file(path) as part, open(part, "wb") as file:
        file.write(png_bytes(pixels))


def png_bytes(pixels: np.ndarray) -> bytes:
    """Encode uint8 pixels (height, width) as a grayscale PNG."""
    rows = np.empty((pixels.shape[0], pixels.shape[1] + 1), np.uint8)
    rows[:, 0] = 2  # PNG filter type "up"
    rows[0, 1:] = pixels[0]
    np.subtract(pixels[1:], pixels[:-1], out=rows[1:, 1:])
    return png_file(rows)


def save_rows(rows: np.ndarray, path: str) -> None:
    """Write a grayscale PNG to a new path that nothing refers to yet (see `disk.write_new`).

    Args:
        rows: uint8 (height, width + 1); each row starts with its filter type
        path: the file, which does not exist
    """
    write_new(path, lambda: png_file(np.ascontiguousarray(rows)))


def png_file(rows: np.ndarray) -> bytes:
    """Encode rows that are already filtered as a grayscale PNG.

    The filter "up" suits smooth pictures: files are as small as if the encoder tried all filters,
    and are written in a third of the time.
    """
    height, width = rows.shape[0], rows.shape[1] - 1
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
