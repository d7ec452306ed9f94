"""Trees of folders, drawn into a folder and compared with how they are read."""

import os
import re
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from fiftyone_gradcam.folders.planning import plan_import

MASK = "a mask, left out"
UNLABELLED = (None, None)


def photo(path: Path) -> None:
    """A colored picture without sharp edges, its own for each path."""
    save(picture_of(str(path)), path)


def picture_of(seed: str) -> Image.Image:
    random = np.random.default_rng(zlib.crc32(seed.encode()))
    small = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return small.resize((64, 48), Image.Resampling.BICUBIC)


def mask(path: Path) -> None:
    """Black, with a white part; its own for each path."""
    random = np.random.default_rng(zlib.crc32(str(path).encode()))
    top, left = random.integers(2, 20, 2)
    pixels = np.zeros((48, 64), np.uint8)
    pixels[top : top + 20, left : left + 30] = 255
    save(Image.fromarray(pixels), path)


def same_photo(path: Path) -> None:
    """One picture for all that have the same name but for their extension."""
    save(picture_of(path.stem), path)


def gray_photo(path: Path) -> None:
    """That picture without its color."""
    save(picture_of(path.stem).convert("L"), path)


def dark_photo(path: Path) -> None:
    """That picture at a third of its brightness, in gray."""
    save(picture_of(path.stem).convert("L").point(lambda level: level // 3), path)


def label_map(path: Path) -> None:
    """Few small values, as for the kinds of pixels: nearly black to see."""
    pixels = np.zeros((48, 64), np.uint8)
    pixels[10:30, 10:40], pixels[30:40] = 1, 7
    save(Image.fromarray(pixels), path)


def soft_mask(path: Path) -> None:
    """One channel of many values, with nothing of the picture."""
    save(Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))), path)


def drawing(path: Path) -> None:
    """A few flat colors, as logos have."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24], pixels[24:, :32], pixels[24:, 32:] = (200, 30, 30), (30, 60, 200), (240, 220, 40)
    save(Image.fromarray(pixels), path)


def tile(path: Path) -> None:
    """A dark, gray plate of few levels."""
    random = np.random.default_rng(zlib.crc32(str(path).encode()))
    save(Image.fromarray(random.integers(20, 38, (48, 64), dtype=np.uint8)), path)


def empty_mask(path: Path) -> None:
    save(Image.new("L", (64, 48)), path)


def night(path: Path) -> None:
    """A nearly black, gray photo."""
    random = np.random.default_rng(zlib.crc32(str(path).encode()))
    pixels = np.minimum(random.gamma(2, 7, (48, 64)), 255).astype(np.uint8)
    save(Image.fromarray(pixels).convert("RGB"), path)


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@dataclass(frozen=True)
class Tree:
    """A folder, and what is right.

    Attributes:
        files: class and split of each image, by its path; or MASK
        others: text of files that are no images
        says: regular expressions that the printed plan holds
        error: one that the refusal holds; None if it is not refused
        passed_over: files that are none, by reason; those in `others` need no mention
        given: arguments
        drawn: how images are drawn that are not (as the rest) photos, and masks where `files` says
            so: by pattern of their paths
    """

    files: dict[str, tuple | str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    error: str | None = None
    passed_over: dict[str, int] = field(default_factory=dict)
    given: dict = field(default_factory=dict)
    drawn: dict[str, Callable[[Path], None]] = field(default_factory=dict)

    def make(self, root: Path) -> None:
        """Write it."""
        for name, expected in self.files.items():
            own = (draw for pattern, draw in self.drawn.items() if fnmatch(name, pattern))
            next(own, mask if expected is MASK else photo)(root / name)
        for name, text in self.others.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)


def differences(tree: Tree, root: Path) -> list[str]:
    """What is read otherwise than it should be."""
    tree.make(root)
    plan = plan_import(str(root), **tree.given)
    found = {
        os.path.relpath(item.path, root).replace(os.sep, "/"): (item.label, item.split)
        for item in plan.items
    }
    expected = {name: reading for name, reading in tree.files.items() if reading is not MASK}
    wrong = [
        f"{name}: {found.get(name)}, not {expected.get(name)}"
        for name in sorted({*found, *expected})
        if found.get(name, "missing") != expected.get(name, "missing")
    ]
    wrong += [f"not said: {words}" for words in tree.says if not re.search(words, str(plan))]
    masks = sum(reading is MASK for reading in tree.files.values())
    counted = {
        reason: count for reason, count in plan.passed_over.items() if not reason.startswith(".")
    }
    if sum(counted.values()) - sum(tree.passed_over.values()) != masks:
        wrong.append(f"passed over: {counted}, not {masks} masks and {tree.passed_over}")
    try:
        plan.check()
    except ValueError as error:
        if tree.error is None or not re.search(tree.error, str(error)):
            wrong.append(f"refused: {error}")
    else:
        if tree.error is not None:
            wrong.append("not refused")
    return wrong
