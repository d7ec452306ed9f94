"""Figures of the whole loop: planted errors found, accuracies, seconds; one row per seed.

python tests/benchmarks/loop.py [--seeds 0 1 2] [--photos FOLDER --backbone NAME --weights FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def main() -> None:
    """Run the loop for each seed and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--photos", help="also run on this folder of class folders")
    parser.add_argument("--backbone", default="squeezenet1_1")
    parser.add_argument("--weights", default="imagenet")
    options = parser.parse_args()

    import fiftyone as fo

    from fiftyone_gradcam import demo, whole_loop

    def quietly(function, *args, **kwargs) -> dict:
        with contextlib.redirect_stdout(io.StringIO()):
            return function(*args, **kwargs)[1]

    print("demo: seed, found / planted, test accuracy, seconds")
    rows = []
    for seed in options.seeds:
        row = quietly(demo.run_demo, seed)
        rows.append(row)
        print(
            f"  {seed}  {row['found']} / {row['planted']}  {row['test_accuracy']:.3f}  "
            f"{row['seconds']:.0f}",
            flush=True,
        )
    median = statistics.median(row["test_accuracy"] for row in rows)
    found = statistics.median(row["found"] / row["planted"] for row in rows)
    print(f"  median: {found:.2f} of the planted errors, test accuracy {median:.3f}")
    if options.photos:
        print(f"run {options.photos} ({options.backbone}): seed, val accuracy, seconds")
        values = []
        for seed in options.seeds:
            name = f"benchmark loop {seed}"
            if fo.dataset_exists(name):
                fo.delete_dataset(name)
            row = quietly(
                whole_loop.run_loop,
                options.photos,
                name,
                backbone=options.backbone,
                weights=options.weights,
                seed=seed,
            )
            fo.delete_dataset(name)
            values.append(row["val_accuracy"])
            print(f"  {seed}  {row['val_accuracy']:.3f}  {row['seconds']:.0f}", flush=True)
        print(f"  median: {statistics.median(values):.3f}")


if __name__ == "__main__":
    main()
