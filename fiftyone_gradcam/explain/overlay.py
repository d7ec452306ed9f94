"""Pictures for people: image, heatmap and overlay side by side, and contact sheets."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN = 8
FONT_SIZE = 14
BACKGROUND, INK = (255, 255, 255), (20, 20, 20)
GRAY = (118, 118, 118)  # has a contrast of 4.5 with white and with black


@cache
def colors_of(colormap: str) -> np.ndarray:
    """Return the 256 colors of a colormap, uint8 (256, 3).

    Raises:
        ValueError: if matplotlib has no such colormap
    """
    import matplotlib  # a requirement of FiftyOne

    try:
        chosen = matplotlib.colormaps[colormap]
    except KeyError:
        raise ValueError(
            f"Unknown colormap {colormap!r}. Choose one of matplotlib's, such as jet, turbo, "
            f"viridis, inferno"
        ) from None
    return np.rint(255 * chosen(np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)


def check_alpha(alpha: float) -> None:
    """Check that an opacity is in [0, 1].

    Raises:
        ValueError: if it is not
    """
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], not {alpha!r}")


def color_heatmap(pixels: np.ndarray, colormap: str = "jet") -> Image.Image:
    """Color a heatmap; where it is 0, the model saw nothing, and it is black.

    Args:
        pixels: uint8 (height, width), as drawn by `render_heatmap`
        colormap: name of a matplotlib colormap
    """
    return Image.fromarray(colors_of(colormap)[pixels] * (pixels > 0)[..., None].astype(np.uint8))


def overlay(
    image: Image.Image,
    pixels: np.ndarray,
    colormap: str = "jet",
    alpha: float = 0.5,
    signed: bool = False,
) -> Image.Image:
    """Blend a heatmap over its image; where the heatmap is 0, the image is unchanged.

    Args:
        image: upright RGB image
        pixels: uint8 (height, width), resized to the image
        colormap: name of a matplotlib colormap
        alpha: opacity of the heatmap in [0, 1]
        signed: whether 128 means zero; values near it are transparent then
    """
    gray = Image.fromarray(pixels).resize(image.size, Image.Resampling.BILINEAR)
    opacity = (pixels > 0) * 255.0 * alpha
    if signed:  # fully opaque from half of the peak on, on both sides
        opacity *= (np.abs(pixels - 128.0) / 64).clip(0, 1)
    mask = Image.fromarray(np.rint(opacity).astype(np.uint8))
    colored = Image.fromarray(colors_of(colormap)[np.asarray(gray)])
    smooth = Image.Resampling.BILINEAR if signed else Image.Resampling.NEAREST
    return Image.composite(colored, image, mask.resize(image.size, smooth))


def triptych(
    image: Image.Image,
    pixels: np.ndarray,
    caption: str,
    colormap: str = "jet",
    alpha: float = 0.5,
    height: int = 320,
    signed: bool = False,
) -> Image.Image:
    """Return image, heatmap and overlay side by side, with a caption below."""
    small = fit(image, height=height)
    heatmap = color_heatmap(pixels, colormap).resize(small.size, Image.Resampling.BILINEAR)
    return row([small, heatmap, overlay(small, pixels, colormap, alpha, signed)], caption)


def fit(image: Image.Image, height: int | None = None, box: int | None = None) -> Image.Image:
    """Resize an image to a height, or to fit into a square of `box` pixels."""
    scale = height / image.height if height else box / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def row(pictures: Sequence[Image.Image], caption: str = "") -> Image.Image:
    """Place pictures side by side, with a caption below."""
    text_height = _text_height(caption)
    width = sum(picture.width for picture in pictures) + MARGIN * (len(pictures) - 1)
    height = max(picture.height for picture in pictures) + text_height
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    left = 0
    for picture in pictures:
        canvas.paste(picture, (left, 0))
        left += picture.width + MARGIN
    _write(canvas, caption, 0, height - text_height, width)
    return canvas


def sheet(
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    columns: int = 6,
    cell: int = 200,
    clear: bool = False,
) -> Image.Image:
    """Place many pictures in rows, each in a square cell with its caption below.

    Args:
        pictures, captions: the pictures with their captions
        columns: the maximum number of pictures in a row
        cell: the width and height of a cell, in pixels
        clear: whether the background is transparent, and text legible on dark and on light
    """
    columns = max(1, min(columns, len(pictures)))
    rows = -(-len(pictures) // columns)
    text_height = max(map(_text_height, captions), default=0)
    size = (columns * (cell + MARGIN) + MARGIN, rows * (cell + text_height + MARGIN) + MARGIN)
    canvas = Image.new("RGBA", size) if clear else Image.new("RGB", size, BACKGROUND)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = MARGIN + (number % columns) * (cell + MARGIN)
        top = MARGIN + (number // columns) * (cell + text_height + MARGIN)
        small = fit(picture, box=cell)
        canvas.paste(small, (left + (cell - small.width) // 2, top + cell - small.height))
        _write(canvas, caption, left, top + cell, cell, GRAY if clear else INK)
    return canvas


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(FONT_SIZE)


def _text_height(text: str) -> int:
    return (text.count("\n") + 1) * (FONT_SIZE + 4) + 4 if text else 0


def _write(
    canvas: Image.Image, text: str, left: int, top: int, width: int, ink: tuple = INK
) -> None:
    """Write lines of text, each cut to the width and in the middle of it."""
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(text.split("\n")):
        shown = _cut(line, width - 4)
        start = left + (width - _font().getlength(shown)) / 2
        draw.text((start, top + 2 + number * (FONT_SIZE + 4)), shown, ink, font=_font())


def _cut(line: str, width: int) -> str:
    """Shorten a line to a width, with … where text is cut off.

    Pillow's font has no accented letters, so they are drawn without accents.
    """
    line = "".join(x for x in unicodedata.normalize("NFKD", line) if not unicodedata.combining(x))
    if _font().getlength(line) <= width:
        return line
    kept = len(line)
    while kept and _font().getlength(line[:kept] + "…") > width:
        kept -= 1
    return line[:kept] + "…"
