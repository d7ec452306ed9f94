"""What the tiles of the App's grid show, compared with what is known of their samples."""

import io
import time

import fiftyone as fo
import numpy as np
from PIL import Image

SIDE = 64
SQUARES = 4  # tiles are compared by the mean colors of so many squares a side
LABELLED = 1  # the lowest rows of squares, into which labels are written
TOLERANCE = 14  # gray levels: tiles are scaled, and cut at whole pixels
BOXES = """(tiles) => tiles.map((tile) => tile.getBoundingClientRect())
    .filter((box) => box.width && box.height)
    .map(({ x, y, width, height }) => ({ x, y, width, height }))"""
MAGENTA, CYAN = (255, 0, 255), (0, 255, 255)


def expected_tile(sample: fo.Sample, field: str | None = None, color=MAGENTA) -> np.ndarray:
    """The picture (SIDE, SIDE, 3) of an image, with a heatmap in one color over it."""
    image = Image.open(sample.filepath).convert("RGB")
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), float)
    if field is None:
        return pixels
    heatmap = Image.open(sample[field].map_path).resize((SIDE, SIDE), Image.Resampling.BOX)
    opacity = 0.7 * np.asarray(heatmap, float)[..., None] / 255
    return (1 - opacity) * pixels + opacity * np.array(color)


def tiles(page) -> list[np.ndarray]:
    """The pictures (SIDE, SIDE, 3) of all tiles, row by row."""
    boxes = page.locator("[data-cy=looker]").evaluate_all(BOXES)  # one look: tiles come and go
    boxes = sorted(boxes, key=lambda box: (round(box["y"]), box["x"]))
    screen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    found = []
    for box in boxes:
        left, top = box["x"], box["y"]
        edges = left, top, left + box["width"], top + box["height"]
        tile = screen.crop(tuple(map(round, edges)))
        found.append(np.asarray(tile.resize((SIDE, SIDE), Image.Resampling.BOX), float))
    return found


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of two tiles in the mean color of a square."""
    size = SIDE // SQUARES
    squares = (found - expected).reshape(SQUARES, size, SQUARES, size, 3).mean((1, 3))
    return float(np.abs(squares[: SQUARES - LABELLED]).max())


def check_tiles(page, expected: list[np.ndarray], seconds: float = 120) -> None:
    """Wait until each tile shows what it is to show."""
    page.mouse.move(2, 2)  # a tile below the mouse shows more
    end = time.monotonic() + seconds
    while True:
        found = tiles(page)
        wrong = [difference(*pair) for pair in zip(found, expected, strict=False)]
        if len(found) == len(expected) and max(wrong) <= TOLERANCE:
            return
        assert time.monotonic() < end, (len(found), len(expected), np.round(wrong).tolist())
        page.wait_for_timeout(200)
