"""What the tiles of the App's grid show, compared with what is known of their samples."""

import io
import time

import numpy as np
from PIL import Image

CHIPS = 0.75  # labels are written into the lowest part of a tile
MEANS = 8  # a tile is compared by the means of so many squares a side


def expected_tile(sample, heatmap_field, color, opacity=0.7, side=64):
    """The picture (side, side, 3) of a sample's image, with its heatmap over it."""
    image = Image.open(sample.filepath).convert("RGB").resize((side, side), Image.Resampling.BOX)
    pixels = np.asarray(image).astype(float)
    if heatmap_field is None:
        return pixels
    shown = Image.open(sample[heatmap_field].map_path)
    alpha = np.asarray(shown.resize((side, side), Image.Resampling.BOX)).astype(float) / 255
    alpha = opacity * alpha[..., None]
    return (1 - alpha) * pixels + alpha * np.array(color)


def tile_pictures(page, side=64):
    """The pictures (side, side, 3) of all tiles, in their order."""
    boxes = [tile.bounding_box() for tile in page.locator("[data-cy=looker]").all()]
    boxes = sorted((box for box in boxes if box), key=lambda box: (box["y"], box["x"]))
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return [
        np.asarray(
            shot.crop(
                [
                    round(value)
                    for value in (
                        box["x"],
                        box["y"],
                        box["x"] + box["width"],
                        box["y"] + box["height"],
                    )
                ]
            ).resize((side, side), Image.Resampling.BOX)
        ).astype(float)
        for box in boxes
    ]


def difference(picture, expected):
    """The largest difference of the means of squares, in gray levels; without the labels."""
    side = len(picture) // MEANS
    shape = (MEANS, side, MEANS, side, 3)
    one, other = (np.mean(x.reshape(shape), axis=(1, 3)) for x in (picture, expected))
    rows = int(MEANS * CHIPS)
    return float(np.abs(one - other)[:rows].max())


def wait_for_tiles(page, expected, tolerance=12, seconds=30):
    """Wait until the tiles show what is expected; returns the largest difference of each."""
    end = time.monotonic() + seconds
    while True:
        found = tile_pictures(page)
        differences = [difference(*pair) for pair in zip(found, expected, strict=False)]
        if len(found) == len(expected) and max(differences) <= tolerance:
            return differences
        if time.monotonic() > end:
            return differences if len(found) == len(expected) else [len(found), len(expected)]
        page.wait_for_timeout(250)
