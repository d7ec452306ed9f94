"""The loop on real photos: wrong labels are planted and found, the first of the queue are decided
by who knows the right ones, and the network is trained again; accuracy on clean test images.

FIFTYONE_GRADCAM_TEST_DATA=... python tests/benchmarks/corrected.py [--sets hymenoptera ...]

All by the public functions, in a FiftyOne database of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import fiftyone as fo
import numpy as np
from label_sets import files_of

import fiftyone_gradcam as fg

PARTS = {"train": 0.7, "test": 0.3}
RESIZES = {"cracks": "squash"}  # other photos are cropped
DECIDED = 2.0  # labels that are decided, as a multiple of those that are wrong


def main() -> None:
    """Print a row for each set, share of wrong labels and seed."""
    warnings.filterwarnings("ignore")
    home = os.environ.get("FIFTYONE_GRADCAM_TEST_DATA")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, default=home, required=home is None)
    parser.add_argument("--sets", nargs="+", default=["hymenoptera", "cracks", "fruit-boxes"])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.05, 0.2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--backbone", default="mobilenet_v2")
    options = parser.parse_args()
    options.home = Path(options.home)
    print(
        "| set | wrong | seed | decided | wrong left | noisy | corrected | all right | in words |"
    )
    print("|" + " --- |" * 9)
    gains = []
    for name in options.sets:
        for share in options.shares:
            for seed in options.seeds:
                row = _row(name, share, seed, options)
                count, decided, left, noisy, corrected, clean, words = row
                gains.append(corrected - noisy)
                print(f"| {name} | {count} | {seed} | {decided} | {left} | {noisy:.3f} | "
                      f"{corrected:.3f} | {clean:.3f} | {words} |", flush=True)  # fmt: skip
    print(f"\nmean gain {np.mean(gains):+.4f}, least {np.min(gains):+.4f}, of {len(gains)} cases")


def _row(name: str, share: float, seed: int, options: argparse.Namespace) -> tuple:
    """Wrong labels; decisions; wrong ones left; accuracies noisy, corrected, with right labels."""
    weights = str(options.home / "weights" / f"{options.backbone}.pth")
    network = {
        "backbone": options.backbone,
        "weights": weights,
        "resize": RESIZES.get(name, "crop"),
    }
    recipe = {"recipe": "linear-probe", **network}
    with tempfile.TemporaryDirectory() as made, contextlib.redirect_stdout(io.StringIO()):
        paths, truth = files_of(name, options.home / "data", Path(made))
        names = [f"class {y}" for y in truth]
        dataset = fo.Dataset()
        dataset.add_samples(
            fo.Sample(filepath=path, ground_truth=fo.Classification(label=label), truth=label)
            for path, label in zip(paths, names, strict=True)
        )
        fg.split(dataset, PARTS, seed=seed)
        train = dataset.match_tags("train")
        random = np.random.default_rng(seed)
        ids, labels = train.values("id"), train.values("ground_truth.label")
        wrong = random.choice(len(ids), round(share * len(ids)), replace=False)
        classes = sorted(set(names))
        given = {
            ids[i]: classes[(classes.index(labels[i]) + random.integers(1, len(classes)))
                            % len(classes)]
            for i in wrong
        }  # fmt: skip
        dataset.set_values("ground_truth.label", given, key_field="id")
        fg.fine_tune(dataset, "noisy", seed=seed, **recipe)
        queue = fg.find_label_issues(train, **network)
        first = queue.limit(round(DECIDED * len(wrong)))
        decided = len(first)
        for sample in first:
            if sample.ground_truth.label == sample.truth:
                fg.review(first.select(sample.id), "keep")
            else:
                fg.review(first.select(sample.id), "relabel", sample.truth)
        left = sum(
            a != b for a, b in zip(*train.values(["ground_truth.label", "truth"]), strict=True)
        )
        fg.fine_tune(dataset, "corrected", seed=seed, **recipe)
        test = dataset.match_tags("test")
        compared = fg.compare_runs(test, "noisy", "corrected")
        dataset.set_values(
            "ground_truth.label", dict(zip(ids, labels, strict=True)), key_field="id"
        )
        fg.fine_tune(dataset, "right", seed=seed, **recipe)
        clean = fg.evaluate(test, "right").accuracy
        dataset.delete()
    pairs = compared.pairs
    noisy, corrected = pairs.right_a / pairs.count, pairs.right_b / pairs.count
    return len(wrong), decided, left, noisy, corrected, clean, compared.words


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
