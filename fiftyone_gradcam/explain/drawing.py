"""Drawing and measuring of all maps in a batch at once, on their device.

The result is the same as of `render.render_heatmap` and `measures.measure` for each map, computed
in float32: pixels differ by at most one level of 255, where rounding decides (fewer than one pixel
in a thousand), and measures by at most 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image

from ..images.geometry import INTERPOLATIONS, WHOLE, Box, placed, source_of
from .measures import GRID

Span = tuple[int, int, float, float]  # pixels from, to; cells from, to


@lru_cache(maxsize=2048)
def _row(cells: int, pixels: int, span: Span, interpolation: str) -> np.ndarray:
    """Return the weight of each cell of a row for each pixel, (cells, pixels) float32.

    The weights are those of Pillow, obtained by resizing rows with a single cell of one; they are
    zero outside of the span.
    """
    start, end, low, high = span
    found = np.zeros((cells, pixels), np.float32)
    ones = Image.fromarray(np.eye(cells, dtype=np.float32))
    filter = INTERPOLATIONS[interpolation]
    found[:, start:end] = ones.resize((end - start, cells), filter, box=(low, 0, high, cells))
    return found


@lru_cache(maxsize=4096)
def _spans(grid: tuple[int, int], size: tuple[int, int], box: Box) -> tuple[Span, Span]:
    """Return the spans of a map of (w, h) cells in a picture of (width, height) pixels: x, y."""
    if box == WHOLE:
        return (0, size[0], 0.0, float(grid[0])), (0, size[1], 0.0, float(grid[1]))
    left, top, right, bottom = placed(box, *size)
    source = source_of(grid, size, box)
    return (left, right, source[0], source[2]), (top, bottom, source[1], source[3])


class Frames:
    """Placement of the maps of a batch in their pictures.

    Args:
        grid: (w, h) cells of each map
        sizes: (width, height) of each picture
        boxes: what the model saw of each image (see `geometry.seen_box`)
        interpolation: "bicubic", "bilinear" or "nearest"
        device: device of the maps
    """

    def __init__(
        self,
        grid: tuple[int, int],
        sizes: Sequence[tuple[int, int]],
        boxes: Sequence[Box],
        interpolation: str,
        device: torch.device,
    ):
        width, height = (max(sides) for sides in zip(*sizes, strict=True))
        across = np.zeros((len(sizes), grid[0], width), np.float32)
        down = np.zeros((len(sizes), grid[1], height), np.float32)
        spans = np.zeros((len(sizes), 2, 2), np.int64)
        for row, (size, box) in enumerate(zip(sizes, boxes, strict=True)):
            columns, rows = _spans(grid, size, box)
            across[row, :, : size[0]] = _row(grid[0], size[0], columns, interpolation)
            down[row, :, : size[1]] = _row(grid[1], size[1], rows, interpolation)
            spans[row] = columns[:2], rows[:2]
        self.across, self.down = (_moved(x, device) for x in (across, down))
        whole = [(0, width, 0, height) for width, height in sizes]
        self.all_seen = spans.reshape(-1, 4).tolist() == [list(one) for one in whole]
        self._spans, self._size, self._device = spans, (width, height), device

    def place(self, maps: torch.Tensor) -> torch.Tensor:
        """Resize maps (N, h, w) into their pictures (N, H, W), of the largest width and height.

        Pixels are zero outside of what the model saw.
        """
        return torch.bmm(self.down.transpose(1, 2), torch.bmm(maps, self.across))

    def seen(self) -> torch.Tensor:
        """Return a mask (N, H, W) of pixels that are in the picture and that the model saw."""
        spans = _moved(self._spans, self._device)[..., None]
        x, y = (torch.arange(side, device=self._device) for side in self._size)
        across = (x >= spans[:, 0, 0]) & (x < spans[:, 0, 1])
        down = (y >= spans[:, 1, 0]) & (y < spans[:, 1, 1])
        return down[:, :, None] & across[:, None]


def _moved(array: np.ndarray, device: torch.device) -> torch.Tensor:
    found = torch.from_numpy(array)
    if device.type == "cuda":
        found = found.pin_memory()
    return found.to(device, non_blocking=True)


def peaks_of(cams: torch.Tensor) -> torch.Tensor:
    """Return the largest absolute value (N,) of each map (N, h, w)."""
    return cams.abs().amax((1, 2))


def draw(cams: torch.Tensor, frames: Frames, peaks: torch.Tensor) -> torch.Tensor:
    """Draw maps as `render.render_heatmap` does.

    Args:
        cams: (N, h, w) float32
        frames: their placement
        peaks: (N,) the value that is drawn as 255; a map whose peak is 0 is drawn as 0

    Returns:
        (N, H, W) uint8, of the largest width and height; pixels outside of a smaller picture are
        meaningless
    """
    drawn = (peaks > 0) & cams.any(2).any(1)
    factors = 254 / torch.where(drawn, peaks, 1.0)
    smooth = frames.place(1 + factors[:, None, None] * cams)
    lowest = drawn[:, None, None].float()  # a map that is not drawn is 0 everywhere
    pixels = smooth.clamp_(lowest, 255 * lowest).round_().to(torch.uint8)
    return pixels if frames.all_seen else pixels.mul_(frames.seen())


def png_rows(pixels: torch.Tensor) -> torch.Tensor:
    """Filter pictures (N, H, W) uint8 as PNG files require before compression: (N, H, W + 1).

    Every row has the filter "up" (see `render.png_file`).
    """
    rows = pixels.new_empty((len(pixels), pixels.shape[1], pixels.shape[2] + 1))
    rows[:, :, 0] = 2  # PNG filter type "up"
    rows[:, 0, 1:] = pixels[:, 0]
    torch.sub(pixels[:, 1:], pixels[:, :-1], out=rows[:, 1:, 1:])
    return rows


def measure_all(cams: torch.Tensor, boxes: Sequence[Box]) -> torch.Tensor:
    """Measure maps as `measures.measure` does.

    Args:
        cams: (N, h, w) float32
        boxes: what the model saw of each image

    Returns:
        (N, 4) focus, x and y of the centroid, border; NaN if a map is nowhere positive
    """
    grid = cams.shape[2], cams.shape[1]
    frames = Frames(grid, [(GRID, GRID)] * len(cams), boxes, "bicubic", cams.device)
    highest = cams.amax((1, 2)).clamp(min=1e-30)
    smooth = frames.place(cams / highest[:, None, None]).clamp_(min=0)
    mass = smooth.sum((1, 2))
    tenth, edge = GRID * GRID // 10, GRID // 10
    hottest = smooth.flatten(1).topk(tenth, sorted=False).values.sum(1)
    inner = smooth[:, edge:-edge, edge:-edge].sum((1, 2))
    centers = (torch.arange(GRID, device=cams.device, dtype=cams.dtype) + 0.5) / GRID
    x = (smooth.sum(1) * centers).sum(1)
    y = (smooth.sum(2) * centers).sum(1)
    found = torch.stack([hottest / mass, x / mass, y / mass, 1 - inner / mass], 1)
    has_place = (cams.amax((1, 2)) > 0) & (mass > 0)
    return torch.where(has_place[:, None], found, torch.nan)
