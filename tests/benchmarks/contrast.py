"""Contrast maps: does what speaks for one class and against another lie on the one, not the other?

python tests/benchmarks/contrast.py FRUITS NAME=WEIGHTS [NAME=WEIGHTS ...] [--seeds 0 1 2]

FRUITS as in `pointing.py`. Questions are the ordered pairs of classes in each photo of several
fruits (none of which is trained on), and in pairs of test photos of different fruits side by side.
For each way to make a contrast map: the share of questions whose peak lies in a box of the class
("hit"), and the mean share of the map's mass within the boxes of both classes that lies in those of
the class ("share"; .5 is chance where boxes are alike).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import fiftyone as fo
import numpy as np
import torch
from PIL import Image
from pointing import MIXED, peak, questions

import fiftyone_gradcam as fg
from fiftyone_gradcam.explain.cam import Forward, eval_mode
from fiftyone_gradcam.explain.contrast import contrast
from fiftyone_gradcam.images.decode import decode
from fiftyone_gradcam.images.geometry import seen_box, to_frame, to_square

WAYS = {
    "one map": None,
    "difference": ("difference", 1.0),
    "finer 0.6": ("finercam", 0.6),
    "finer 1": ("finercam", 1.0),
}
SIDE = 300


@dataclass(frozen=True)
class Pair:
    """A picture of two classes, with the boxes (left, top, right, bottom) of each in shares."""

    image: Image.Image
    boxes: dict[str, np.ndarray]
    made: bool


def mixed_pairs(folder: Path) -> list[Pair]:
    """Photos of several fruits, of both parts."""
    found: dict[str, dict] = {}
    for part in ("train", "test"):
        for one in questions(folder / part):
            if one.mixed:
                found.setdefault(one.path, {})[one.label] = one.boxes
    many = {path: boxes for path, boxes in found.items() if len(boxes) > 1}
    return [Pair(decode(path).image, boxes, False) for path, boxes in many.items()]


def made_pairs(folder: Path, count: int = 60) -> list[Pair]:
    """Test photos of one fruit, two different ones side by side."""
    single = [x for x in questions(folder / "test") if not Path(x.path).name.startswith(MIXED)]
    random = np.random.default_rng(0)
    found = []
    while len(found) < count:
        one, other = (single[i] for i in random.choice(len(single), 2, replace=False))
        if one.label == other.label:
            continue
        canvas = Image.new("RGB", (2 * SIDE, 2 * SIDE), (255, 255, 255))
        boxes = {}
        for place, x in enumerate((one, other)):
            canvas.paste(decode(x.path).image.resize((SIDE, 2 * SIDE)), (place * SIDE, 0))
            boxes[x.label] = (x.boxes + np.array([place, 0, place, 0])) / [2, 1, 2, 1]
        found.append(Pair(canvas, boxes, True))
    return found


def inside(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool, which pixels lie in a box."""
    y, x = ((np.arange(side) + 0.5) / side for side in shape)
    left, top, right, bottom = boxes.T[:, :, None]
    across = (left <= x) & (x <= right)
    down = (top <= y) & (y <= bottom)
    return (down[:, :, None] & across[:, None]).any(0)


@torch.no_grad()
def ask(network, classes: list[str], pair: Pair) -> list[dict[str, tuple[float, float]]]:
    """For each ordered pair of classes, by way: whether the peak hits, and the share of mass."""
    size = network.image_size
    square = to_square(pair.image, size, network.resize).copy()
    inputs = network.normalize(torch.from_numpy(square).permute(2, 0, 1)[None])
    forward = Forward(network.module, network.splitter, inputs)
    box = seen_box(network.resize, *pair.image.size)
    frame = [round(200 * side / max(pair.image.size)) for side in pair.image.size]
    rows = []
    for own, other in ((a, b) for a in pair.boxes for b in pair.boxes if a != b):
        targets = [torch.tensor([classes.index(x)]) for x in (own, other)]
        ours, theirs = (inside(pair.boxes[x], tuple(frame[::-1])) for x in (own, other))
        row = {}
        for name, way in WAYS.items():
            if way is None:
                cam = forward.maps(targets[:1])[0][0]
            else:
                cam = contrast(forward, *targets, way[0], alpha=way[1]).clamp(min=0)
            placed = to_frame(cam[0].numpy(), *frame, box).clip(0)
            x, y = peak(placed)
            hit = ours[int(y * frame[1]), int(x * frame[0])] if placed.any() else False
            mass = [float(placed[mask].sum()) for mask in (ours & ~theirs, theirs & ~ours)]
            row[name] = (float(hit), mass[0] / sum(mass) if sum(mass) > 0 else 0.0)
        rows.append(row)
    return rows


def play(folder: Path, backbone: str, weights: str, seed: int, pairs: list[Pair]) -> list:
    """Train once, and answer all questions: (made, row) of each."""
    name = "benchmark contrast"
    if fo.dataset_exists(name):
        fo.delete_dataset(name)
    dataset = fo.Dataset(name)
    paths = [p for p in sorted((folder / "train").glob("*.jpg")) if not p.name.startswith(MIXED)]
    samples = [
        fo.Sample(
            str(p), ground_truth=fo.Classification(label=p.name.split("_")[0]), tags=["train"]
        )
        for p in paths
    ]
    dataset.add_samples(samples, progress=False)
    with contextlib.redirect_stdout(io.StringIO()):
        chosen = {"backbone": backbone, "weights": weights, "seed": seed, "resize": "squash"}
        run = fg.fine_tune(dataset, "fruit", progress=False, **chosen)
    network = run.network("cpu")
    with eval_mode(network.module):
        found = [(pair.made, row) for pair in pairs for row in ask(network, run.classes, pair)]
    dataset.delete()
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("backbones", nargs="+", metavar="NAME=WEIGHTS")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    pairs = [*mixed_pairs(options.folder), *made_pairs(options.folder)]
    print(f"{'hit / share':<34}{'questions':>10}" + "".join(f"{name:>16}" for name in WAYS))
    for item in options.backbones:
        backbone, _, weights = item.partition("=")
        for seed in options.seeds:
            found = play(options.folder, backbone, weights, seed, pairs)
            for made, what in ((False, "photos of several"), (True, "side by side")):
                rows = [row for own, row in found if own == made]
                cells = [np.mean([row[name] for row in rows], 0) for name in WAYS]
                print(
                    f"{f'{backbone} {seed}, {what}':<34}{len(rows):>10}"
                    + "".join(f"{f'{hit:.3f} / {share:.3f}':>16}" for hit, share in cells),
                    flush=True,
                )


if __name__ == "__main__":
    main()
