"""Does every network of torchvision take its published weights? All 80 are compared with what
torchvision loads from the same file, in the older form (no counters, older names) and in today's.

python tests/benchmarks/published_weights.py [NAME ...]

The values are random. Needs no network, 12 GB of memory for the largest, and some minutes.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from published import as_published, as_saved, cache, differences, theirs
from torch import nn

from fiftyone_gradcam.model.backbones import BACKBONES
from fiftyone_gradcam.model.weights import (
    check_imagenet_weights,
    create_model,
    create_pretrained,
)

DRAWS = (
    *("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_", "uniform_"),
    *("xavier_normal_", "xavier_uniform_"),
)


def compare(name: str, form: str) -> list[str]:
    """What differs between torchvision's network and this project's, from one file."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["TORCH_HOME"] = home
        state = as_published(name) if form == "older" else as_saved(name)
        file = cache(Path(home), name, state)
        del state
        check_imagenet_weights(name)
        expected = theirs(name)
        wrong = differences(create_pretrained(name), expected)
        gc.collect()
        head = BACKBONES[name].family.last_layer + "."
        wrong += differences(create_model(name, 7, str(file)), expected, head)
    gc.collect()
    return wrong


def main() -> int:
    """Compare, print a line each, and return the number of networks that differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[n for n in BACKBONES if n != "small_cnn"])
    for draw in DRAWS:  # large networks take a minute to draw what a file replaces
        setattr(nn.init, draw, lambda tensor, *_, **__: tensor)
    failed = []
    names = parser.parse_args().names
    for name in names:
        start, wrong = time.perf_counter(), []
        for form in ("older", "today"):
            try:
                wrong += compare(name, form)
            except Exception as error:  # which is what is looked for
                wrong.append(f"{form}: {type(error).__name__}: {error}")
        print(f"{name:<20} {time.perf_counter() - start:6.1f} s  {wrong or 'equal'}", flush=True)
        failed += [name] if wrong else []
    print(f"{len(names) - len(failed)} of {len(names)} networks take their published weights")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
