"""How long it takes to explain one image on demand, on a CPU.

python tests/benchmarks/why.py FOLDER NAME=WEIGHTS [NAME=WEIGHTS ...] [--count 30]

FOLDER holds photos in a folder for each class. Each network predicts them as it comes, so that its
features are kept; then images are explained one after the other, as the panel Why? asks for them:
values and pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import fiftyone as fo
import numpy as np

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.explain_call import as_values
from fiftyone_gradcam.dataset.ready_networks import forget_networks
from fiftyone_gradcam.images.decode import decode


def seconds_of(function, *args) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def explain(sample: fo.Sample, field: str) -> None:
    """What the server does for one image."""
    as_values(fg.explain_sample(sample, prediction_field=field))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("backbones", nargs="+", metavar="NAME=WEIGHTS")
    parser.add_argument("--count", type=int, default=30)
    options = parser.parse_args()
    name = "benchmark why"
    if fo.dataset_exists(name):
        fo.delete_dataset(name)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = fg.import_folders(options.folder, name)
    titles = ("first", "median", "95% below", "longest", "/ decoding")
    print(f"{'seconds':<24}" + "".join(f"{title:>12}" for title in titles))
    for item in options.backbones:
        backbone, _, weights = item.partition("=")
        samples = dataset.take(options.count, seed=0)
        with contextlib.redirect_stdout(io.StringIO()):
            fg.predict(
                samples, backbone, backbone, (), weights=weights, resize="crop", progress=False
            )
        forget_networks()
        taken, decoding = [], []
        for sample in samples:
            decoding.append(seconds_of(decode, sample.filepath))
            taken.append(seconds_of(explain, sample, backbone))
        first, *rest = taken
        found = [first, *np.quantile(rest, [0.5, 0.95, 1.0]), np.median(rest) / np.median(decoding)]
        print(f"{backbone:<24}" + "".join(f"{value:>12.3f}" for value in found), flush=True)
    dataset.delete()


if __name__ == "__main__":
    main()
