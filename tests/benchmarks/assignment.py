"""Split: how much longer 2,000 classes take than 20, at the same number of samples.

python tests/benchmarks/assignment.py [--samples 100000] [--repeats 5]

Times are of the processor. The last line of each way is the ratio of 2,000 classes to 20.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fiftyone_gradcam.folders.assignment import assign

FEW, MANY = 20, 2000
FRACTIONS = {"train": 0.6, "val": 0.2, "test": 0.2}


def seconds(samples: int, classes: int, grouped: bool, repeats: int) -> float:
    """The least time of several, of one assignment."""
    labels = [f"class {i % classes}" for i in range(samples)]
    groups = [i // 3 for i in range(samples)] if grouped else None
    times = []
    for _ in range(repeats):
        start = time.process_time()
        assign(labels, FRACTIONS, 0, groups)
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Print the times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    for grouped in (False, True):
        times = {k: seconds(options.samples, k, grouped, options.repeats) for k in (FEW, MANY)}
        way = "in groups of 3" if grouped else "one by one"
        for classes, took in times.items():
            print(f"{options.samples} samples {way}, {classes} classes: {1000 * took:.1f} ms")
        print(f"ratio {times[MANY] / times[FEW]:.2f}")


if __name__ == "__main__":
    main()
