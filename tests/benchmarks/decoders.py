"""JPEG files decoded by torchcodec instead of Pillow: how the results differ, and how fast it is.

python tests/benchmarks/decoders.py PHOTOS NAME=WEIGHTS [NAME=WEIGHTS ...] [--device cuda]

PHOTOS is a folder with JPEG files, WEIGHTS the file of ImageNet weights of the network NAME. For
each way to resize: the mean and the largest difference of the pixels that a network sees (of 255
levels), the share that differs by more than 2. For each network: the share of photos with the same
label, of those whose margin is over .01, the largest difference of a probability, and the
correlation of the heatmaps. Then images per second of decoding and resizing alone. On a CPU,
torchcodec is used as on a GPU (in one thread), which `predict` never does there.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from agreeing import Maps, agreement

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.decoders import DECODERS
from fiftyone_gradcam.images.geometry import RESIZES
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.device import pick_device
from fiftyone_gradcam.model.network import Network
from fiftyone_gradcam.model.weights import create_pretrained
from fiftyone_gradcam.passes import engine
from fiftyone_gradcam.passes.engine import run_pass
from fiftyone_gradcam.passes.sinks import Sink

SIDE = 224


class Pixels(Sink):
    """Keeps the squares of all images."""

    def __init__(self, count: int):
        self.rows = np.zeros((count, 3, SIDE, SIDE), np.int16)

    def compute(self, seen):
        """Only the pixels are of interest."""
        return seen.pixels

    def take(self, positions, value):
        """Store a batch."""
        self.rows[positions] = value.cpu().numpy()


def agreement_of(photos: list[str], network: Network) -> tuple[float, float, float]:
    """See `agreeing.agreement`."""
    found = []
    for decoder in DECODERS:
        found.append(Maps())
        images = Images(photos, SIDE, resize=network.resize)
        run_pass(images, network, [found[-1]], decoder=decoder)
    return agreement(*found)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("networks", nargs="+", metavar="NAME=WEIGHTS")
    parser.add_argument("--device")
    args = parser.parse_args()
    device = pick_device(args.device)
    photos = sorted(str(path) for path in args.photos.rglob("*.jp*g"))
    # As on a GPU, whatever the device.
    engine.runs_side_by_side = lambda _: False
    engine.decodes_on = lambda _: True
    print(f"{len(photos)} photos, {device}")
    networks = {}
    for given in args.networks:
        name, weights = given.split("=", 1)
        backbone, model = get_backbone(name), create_pretrained(name, weights)
        classes = [str(number) for number in range(1000)]
        networks[name] = Network.of_backbone(backbone, model, classes, SIDE, "crop", device)
    first = next(iter(networks.values()))
    for resize in RESIZES:
        rows, seconds = [], []
        for decoder in DECODERS:
            sink, start = Pixels(len(photos)), time.perf_counter()
            # The pixels are on the device of the network, which is not used.
            images = Images(photos, SIDE, resize=resize)
            run_pass(images, first, [sink], decoder=decoder)
            seconds.append(time.perf_counter() - start)
            rows.append(sink.rows)
        gap = np.abs(rows[0] - rows[1])
        rates = ", ".join(
            f"{name} {len(photos) / one:.0f} images/s"
            for name, one in zip(DECODERS, seconds, strict=True)
        )
        print(
            f"{resize}: mean {gap.mean():.2f}, over 2: {(gap > 2).mean():.1%}, largest "
            f"{gap.max()}; {rates}"
        )
    for name, network in networks.items():
        equal, gap, correlation = agreement_of(photos, network)
        print(
            f"{name}: labels equal {equal:.2%}, probabilities within {gap:.3f}, heatmaps correlate "
            f"at {correlation:.5f}"
        )


if __name__ == "__main__":
    main()
