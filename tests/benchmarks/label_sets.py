"""Sets of images with labels, their features (kept on disk), and errors planted in them."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.passes.engine import run_pass
from fiftyone_gradcam.passes.sinks import Pooled, Thumbnails
from fiftyone_gradcam.training.frozen import frozen_network
from fiftyone_gradcam.training.recipes import make_recipe

NETWORKS = ("mobilenet_v2", "squeezenet1_1")
RESIZES = ("crop", "squash", "letterbox")
TWINS = 3  # near duplicates that are made of each image


@dataclass(frozen=True)
class Planted:
    """Labels with errors planted in them.

    Attributes:
        labels: (N,) class indexes, some of them wrong
        wrong: (N,) bool
    """

    labels: np.ndarray
    wrong: np.ndarray


def files_of(name: str, data: Path, made: Path) -> tuple[list[str], np.ndarray]:
    """Paths and class indexes of a set.

    Args:
        name: "hymenoptera", "cracks", "fruit-boxes", "digits" (8 x 8 pixels, of scikit-learn) or
            "letters" (26 classes of 30, drawn in fonts of matplotlib)
        data: the folder of real images
        made: where images that are made go
    """
    if name in ("digits", "letters"):
        folder = made / name
        if not folder.exists():
            {"digits": _draw_digits, "letters": _draw_letters}[name](folder)
        paths = sorted(folder.glob("*/*.png"))
        classes = [path.parent.name for path in paths]
    elif name == "fruit-boxes":
        paths = sorted((data / name).rglob("*.jpg"))
        paths = [path for path in paths if not path.name.startswith("mixed")]
        classes = [re.match("[a-z]+", path.name)[0] for path in paths]
    else:
        paths = sorted(path for path in (data / name).rglob("*.jp*g"))
        classes = [path.parent.name for path in paths]
    return [str(path) for path in paths], np.unique(classes, return_inverse=True)[1]


def features_of(
    paths: list[str], network: str, resize: str, weights: Path, made: Path
) -> list[np.ndarray]:
    """Thumbnails (N, 256) and pooled features (N, C) of images, from disk if they are there."""
    key = hashlib.blake2b("\n".join([network, resize, *paths]).encode(), digest_size=8).hexdigest()
    kept = made / f"{key}.npz"
    if not kept.exists():
        recipe = make_recipe(
            backbone=network, weights=str(weights / f"{network}.pth"), resize=resize
        )
        images = Images(paths, recipe.image_size, resize=resize)
        sinks = Thumbnails(len(paths)), Pooled(len(paths))
        run_pass(images, frozen_network(recipe, "cpu"), sinks)
        np.savez(kept, thumbnails=sinks[0].rows, pooled=sinks[1].rows)
    found = np.load(kept)
    return [found["thumbnails"], found["pooled"]]


def twins_of(paths: list[str], made: Path) -> list[list[str]]:
    """Near duplicates of images: stored again, made smaller, made lighter; a list of each kind."""
    kinds = [[], [], []]
    for path in paths:
        name = hashlib.blake2b(path.encode(), digest_size=8).hexdigest()
        files = [made / "twins" / f"{name}-{kind}.jpg" for kind in range(TWINS)]
        if not all(file.exists() for file in files):
            files[0].parent.mkdir(exist_ok=True)
            image = Image.open(path).convert("RGB")
            small = [max(8, int(0.8 * side)) for side in image.size]
            lighter = ImageEnhance.Brightness(image).enhance(1.15)
            for made_one, file in zip((image, image.resize(small), lighter), files, strict=True):
                buffer = io.BytesIO()
                made_one.save(buffer, "JPEG", quality=70)
                file.write_bytes(buffer.getvalue())
        for kind, file in zip(kinds, files, strict=True):
            kind.append(str(file))
    return kinds


def plant(
    truth: np.ndarray, share: float, seed: int, likeness: np.ndarray | None = None
) -> Planted:
    """Give some images a wrong label.

    Args:
        truth: (N,) class indexes
        share: of the images, in [0, 1)
        seed: which images
        likeness: (K, K) of the classes; wrong labels are the most similar class. None: any other
    """
    random = np.random.default_rng(seed)
    count, classes = round(share * len(truth)), int(truth.max()) + 1
    chosen = random.choice(len(truth), count, replace=False)
    labels = truth.copy()
    if likeness is None:
        labels[chosen] = (truth[chosen] + random.integers(1, classes, count)) % classes
    else:
        other = np.where(np.eye(classes, dtype=bool), -np.inf, likeness)
        labels[chosen] = other.argmax(1)[truth[chosen]]
    return Planted(labels, labels != truth)


def likeness_of(features: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Cosines (K, K) of the mean standardised features of the classes."""
    standard = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    means = np.stack([standard[truth == k].mean(0) for k in range(int(truth.max()) + 1)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means @ means.T


def _draw_digits(folder: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        if number >= 900:
            break
        file = folder / str(label) / f"{number:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
        image.resize((64, 64), Image.Resampling.BICUBIC).save(file)


def _draw_letters(folder: Path) -> None:
    import matplotlib

    fonts = sorted((Path(matplotlib.get_data_path()) / "fonts" / "ttf").glob("*.ttf"))
    fonts = [font for font in fonts if re.match("DejaVu|STIXGeneral", font.name)]
    fonts = [font for font in fonts if "Display" not in font.name]
    random = np.random.default_rng(0)
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        (folder / letter).mkdir(parents=True)
        for number in range(30):
            image = Image.new("L", (96, 96), int(random.integers(0, 110)))
            font = ImageFont.truetype(str(random.choice(fonts)), int(random.integers(30, 64)))
            place = tuple(random.integers(30, 66, 2).tolist())
            ImageDraw.Draw(image).text(
                place, letter, int(random.integers(130, 256)), font, anchor="mm"
            )
            image = image.rotate(float(random.uniform(-30, 30)), Image.Resampling.BICUBIC)
            noise = random.normal(0, 25, (96, 96))
            pixels = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / letter / f"{number:02d}.png")
