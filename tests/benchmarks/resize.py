"""resize="auto" beside each fixed way to make images square: accuracy of a linear probe.

python tests/benchmarks/resize.py DATA WEIGHTS [--backbone mobilenet_v2] [--draws 5]

DATA holds the folders hymenoptera (train and val, each with ants and bees), cracks (Negative and
Positive) and fruit-boxes (train and test, whose files are named by their class); WEIGHTS are of the
backbone. Digits are scikit-learn's. "anywhere" is made here: photos of hymenoptera cut to oblongs,
on each a small disk, square or triangle at a random place, which is its class.

The accuracy of a way is that of a logistic regression on all images, in 5 folds, and the mean of 4
shuffles. "auto" chooses by up to 300 images, drawn by each of some seeds; its accuracy is that of
what it chose, mean and least of the draws.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

SHUFFLES = 4
MOST = 500  # images of a set

Files = tuple[list[str], np.ndarray]


def main() -> None:
    """Judge all sets, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("weights")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    from fiftyone_gradcam.training.frozen import frozen_network
    from fiftyone_gradcam.training.recipe import Recipe

    recipe = Recipe(backbone=options.backbone, weights=options.weights, resize="crop")
    network = frozen_network(recipe, None)
    print("| set | images | crop | squash | letterbox | auto, mean (least) | it chose | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="fiftyone-gradcam-resize-") as home:
        for name, files in _sets(options.data, Path(home)).items():
            print(_row(name, *_some(*files), network, options.draws), flush=True)


def _row(name: str, paths: list[str], labels: np.ndarray, network, draws: int) -> str:
    from fiftyone_gradcam.images.decode import DEFAULT
    from fiftyone_gradcam.review.linear import leave_one_out
    from fiftyone_gradcam.training import resizing
    from fiftyone_gradcam.training.resize_features import features_by_way

    began = time.perf_counter()
    features, kept = features_by_way(paths, network, DEFAULT, lambda *_: None)
    labels, paths = labels[kept], [path for path, ok in zip(paths, kept, strict=True) if ok]
    each = (time.perf_counter() - began) / len(labels)
    accuracy = {way: _accuracy(values, labels) for way, values in features.items()}
    accuracy.setdefault("letterbox", accuracy["squash"])
    chosen = []
    for seed in range(draws):
        places = resizing.images_to_compare(labels, paths, seed)
        began = time.perf_counter()
        found = {way: leave_one_out(rows[places], labels[places]) for way, rows in features.items()}
        chosen.append(resizing.best_way(found))
        seconds = each * len(places) + time.perf_counter() - began
    got = [accuracy[way] for way in chosen]
    cells = [f"{accuracy[way]:.3f}" for way in ("crop", "squash", "letterbox")]
    cells += [f"{np.mean(got):.3f} ({min(got):.3f}), best fixed {max(accuracy.values()):.3f}"]
    cells += [", ".join(f"{way} {n}" for way, n in Counter(chosen).items()), f"{seconds:.0f}"]
    return f"| {name} | {len(labels)} | {' | '.join(cells)} |"


def _accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    from fiftyone_gradcam.review.label_issues import out_of_fold_probabilities

    count = int(labels.max()) + 1
    right = [
        (out_of_fold_probabilities(features, labels, count, 5, seed).argmax(1) == labels).mean()
        for seed in range(SHUFFLES)
    ]
    return float(np.mean(right))


def _some(paths: list[str], labels: np.ndarray) -> Files:
    order = np.sort(np.random.default_rng(0).permutation(len(paths))[:MOST])
    return [paths[i] for i in order], labels[order]


def _sets(data: Path, home: Path) -> dict[str, Files]:
    ants = sorted((data / "hymenoptera").glob("*/*/*.*"))
    cracks = sorted((data / "cracks").glob("*/*.jpg"))
    fruits = sorted((data / "fruit-boxes").glob("*/*.jpg"))
    fruits = [path for path in fruits if not path.name.startswith("mixed")]
    return {
        "hymenoptera": _labelled(ants, [path.parent.name for path in ants]),
        "cracks": _labelled(cracks, [path.parent.name for path in cracks]),
        "fruit-boxes": _labelled(fruits, [path.name.split("_")[0] for path in fruits]),
        "digits": _digits(home / "digits"),
        "anywhere": _anywhere(home / "anywhere", ants),
    }


def _labelled(paths: list[Path], names: list[str]) -> Files:
    return [str(path) for path in paths], np.unique(names, return_inverse=True)[1]


def _digits(folder: Path) -> Files:
    from sklearn.datasets import load_digits

    folder.mkdir()
    digits, paths = load_digits(), []
    for number, pixels in enumerate(digits.images[:MOST]):
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray((pixels * (255 / 16)).astype(np.uint8)).resize((32, 32)).save(paths[-1])
    return paths, digits.target[: len(paths)]


def _anywhere(folder: Path, photos: list[Path], count: int = 360) -> Files:
    folder.mkdir()
    random, paths = np.random.default_rng(7), []
    for number in range(count):
        with Image.open(photos[number % len(photos)]) as photo:
            image = photo.convert("RGB").resize((480, 240))
        side = int(random.integers(44, 60))
        left, top = (int(random.integers(0, end - side)) for end in image.size)
        draw, color = ImageDraw.Draw(image), tuple(map(int, random.integers(0, 256, 3)))
        right, bottom = left + side, top + side
        if number % 3 == 0:
            draw.ellipse((left, top, right, bottom), color)
        elif number % 3 == 1:
            draw.rectangle((left, top, right, bottom), color)
        else:
            draw.polygon([(left, bottom), (right, bottom), (left + side // 2, top)], color)
        paths.append(str(folder / f"{number}.jpg"))
        image.save(paths[-1], quality=92)
    return paths, np.arange(count) % 3


if __name__ == "__main__":
    main()
