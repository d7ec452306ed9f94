"""From image files to PNG files and scores, beside what its parts can do alone. Needs no FiftyOne.

python tests/benchmarks/passes.py PHOTOS [--networks NAME ...] [--device cpu] [--megapixels .2 2 12]
    [--images 200] [--rounds 3] [--precision tf32] [--memory]

PHOTOS is a folder with JPEG files, which are enlarged or reduced to each number of megapixels.
Networks have random weights and 1,000 classes; "null" costs nothing, and shows what the pass itself
costs. Figures are images per second: of the forward pass alone (of 64 images on a GPU; on a CPU of
16 by all threads, or of 4 side by side, whichever is faster), of decoding alone on all processors,
of writing PNG files alone on all processors, of a pass that takes scores alone, and of the whole.
On a CPU the whole is compared with 1 / (1/forward + 1/decode), on a GPU with the least of
the three. All are measured in turn, several times, and the median of the ratios within each turn
is printed, so that a machine that is now faster and now slower is so for all of them. The last
column is the same by processor time (of all threads and child processes) where everything runs on
the CPU: other work on the machine does not change it. --memory prints peak memory instead, with
1,000 and with 20,000 images.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from PIL import Image
from torch import nn

from fiftyone_gradcam.explain.render import HeatmapOptions, save_rows
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.device import pick_device
from fiftyone_gradcam.model.network import Network
from fiftyone_gradcam.model.splitting import Splitter
from fiftyone_gradcam.passes.engine import CPU_BATCH, WORKERS, run_pass
from fiftyone_gradcam.passes.heatmaps import Heatmaps
from fiftyone_gradcam.passes.sinks import Predictions

NETWORKS = ("squeezenet1_1", "mobilenet_v2", "resnet50", "vit_b_16")
SIDE, CLASSES = 224, 1000


class Constant(nn.Module):
    """Logits that are the same for all images."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Looks at no image."""
        return torch.tensor([[1.0, 0.0]], device=images.device).expand(len(images), -1)


class Null(Splitter):
    """A network that costs nothing: its target tensor is one for all images."""

    def __init__(self, device: torch.device):
        self.device, self.module, self.classes = device, Constant(), ("a", "b")
        self.splitter, self.resize = self, "squash"
        self.layer, self.averages = "none", True
        self.target = torch.rand(64, 8, 7, 7, device=device)
        self.weight = torch.rand(2, 8, device=device)

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """Leaves the images as they are."""
        return images

    def split(self, module: nn.Module, images: torch.Tensor):
        """Looks at no image."""
        return self.target[: len(images)], lambda target: target.mean((2, 3)) @ self.weight.T

    def closed_form(self, module: nn.Module) -> Callable:
        """The gradient of a logit is a row of the weights."""
        return lambda target, classes: self.weight[classes][:, :, None, None] / 49


def make_network(name: str, device: torch.device) -> Network | Null:
    """A network of random weights."""
    if name == "null":
        return Null(device)
    torch.manual_seed(0)
    backbone = get_backbone(name)
    names = [str(number) for number in range(CLASSES)]
    return Network.of_backbone(backbone, backbone.build(CLASSES), names, SIDE, "squash", device)


def make_photos(folder: str, megapixels: float, count: int, into: str) -> list[str]:
    """Photos of so many megapixels."""
    sources = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    paths = []
    for number in range(count):
        with Image.open(sources[number % len(sources)]) as image:
            scale = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
            size = round(image.width * scale), round(image.height * scale)
            resized = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        paths.append(os.path.join(into, f"{number}.jpg"))
        resized.save(paths[-1], quality=90)
    return paths


def processor_seconds() -> float:
    """Of all threads of this process, and of its children that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def whole(network, paths: list[str], folder: str, options: argparse.Namespace, maps: bool) -> None:
    """From files to PNG files and scores."""
    labels = np.full(len(paths), -1, np.int64)
    own = HeatmapOptions()
    folder = tempfile.mkdtemp(dir=folder)  # a new file costs less than one that is replaced
    path_of = lambda kind, i: f"{folder}/{i}.png"  # noqa: E731
    sinks = [Predictions(labels, lambda *_: None)]
    if maps:
        kinds = ["predicted"]
        sinks.append(Heatmaps(kinds, own, network.classes, labels, "squash", path_of, lambda *_: 0))
    images = Images(paths, SIDE)
    run_pass(images, network, sinks, options.batch, precision=options.precision)


def contestants(name: str, paths: list[str], folder: str, options: argparse.Namespace) -> dict:
    """What is measured: functions, and the number of images of each."""
    device = pick_device(options.device)
    network = make_network(name, device)
    size = 16 if device.type == "cpu" else 64
    inputs = torch.randn(size, 3, SIDE, SIDE, device=device)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    threads = torch.get_num_threads()
    times = max(1, len(paths) // size) * (1 if device.type == "cpu" else 8)
    rows = np.zeros((168, SIDE + 1), np.uint8)
    rows[:, 0] = 2
    rows[:, 1:] = np.random.default_rng(0).integers(0, 6, (168, SIDE))
    model = network.module
    if not isinstance(network, Null):  # as it comes: without folded batch norms
        torch.manual_seed(0)
        backbone = get_backbone(name)
        model = backbone.build(CLASSES).eval().to(device, memory_format=torch.channels_last)

    def forward() -> None:
        with torch.inference_mode():
            for _ in range(times):
                model(inputs)
        if device.type == "cuda":
            torch.cuda.synchronize()

    def small() -> None:
        share = max(1, os.cpu_count() // WORKERS)
        with ThreadPoolExecutor(
            min(os.cpu_count(), WORKERS), initializer=torch.set_num_threads, initargs=(share,)
        ) as pool:
            list(pool.map(lambda _: once(inputs[:CPU_BATCH]), range(times * size // CPU_BATCH)))
        torch.set_num_threads(threads)

    @torch.inference_mode()
    def once(part: torch.Tensor) -> None:
        model(part)

    def decode() -> None:
        chunks = [np.arange(i, min(i + 8, len(paths))) for i in range(0, len(paths), 8)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(Images(paths, SIDE).load, chunks))

    def png() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            into = tempfile.mkdtemp(dir=folder)
            list(pool.map(lambda i: save_rows(rows, f"{into}/{i}.png"), range(len(paths))))

    ways = {"forward": (forward, times * size)}
    if device.type == "cpu":
        ways["small"] = small, times * size // CPU_BATCH * CPU_BATCH
    return ways | {
        "decode": (decode, len(paths)),
        "png": (png, len(paths)),
        "scores": (lambda: whole(network, paths, folder, options, False), len(paths)),
        "whole": (lambda: whole(network, paths, folder, options, True), len(paths)),
    }


def measure(name: str, paths: list[str], folder: str, options: argparse.Namespace) -> None:
    """Print a row."""
    functions = contestants(name, paths, folder, options)
    if name == "null":
        functions = {k: v for k, v in functions.items() if k not in ("forward", "small")}
    wall: dict[str, list[float]] = {key: [] for key in functions}
    used: dict[str, list[float]] = {key: [] for key in functions}
    for number in range(options.rounds + 1):
        for key, (function, count) in functions.items():
            start, before = time.perf_counter(), processor_seconds()
            function()
            if number:  # the first is to warm up
                wall[key].append((time.perf_counter() - start) / count)
                used[key].append((processor_seconds() - before) / count)
    if name == "null":
        wall["forward"] = used["forward"] = [0.0] * options.rounds
    elif "small" in wall:  # whichever way is the faster on this machine
        for found in (wall, used):
            found["forward"] = min(found["forward"], found.pop("small"), key=statistics.median)
    on_cpu = pick_device(options.device).type == "cpu"

    def share(of: dict[str, list[float]], key: str) -> float:
        parts = zip(of["forward"], of["decode"], of["png"], of[key], strict=True)
        limit = (lambda f, d, p: f + d) if on_cpu else max
        return statistics.median(limit(f, d, p) / own for f, d, p, own in parts)

    rates = {key: 1 / max(statistics.median(taken), 1e-9) for key, taken in wall.items()}
    cells = [rates[key] for key in ("forward", "decode", "png", "scores", "whole")]
    shares = [share(wall, "scores"), share(wall, "whole")]
    if on_cpu:
        shares += [share(used, "scores"), share(used, "whole")]
    print(
        f"{name:<15}"
        + "".join(f"{cell:>9.0f}" if cell < 1e6 else f"{'-':>9}" for cell in cells)
        + "".join(f"{one:>9.2f}" for one in shares),
        flush=True,
    )


def peak_memory(paths: list[str], folder: str, options: argparse.Namespace, count: int) -> float:
    """Peak memory in MiB of a process that takes `count` images to PNG files and scores."""
    listed = Path(folder) / "paths.txt"
    listed.write_text("\n".join((paths * (count // len(paths) + 1))[:count]))
    given = [f"--device={options.device or ''}", f"--batch={options.batch}"]
    command = [sys.executable, __file__, folder, "--run", str(listed), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def run_listed(options: argparse.Namespace) -> None:
    """Take listed images to PNG files and scores, and print the peak memory."""
    network = make_network("null", pick_device(options.device))
    folder = tempfile.mkdtemp()
    try:
        whole(network, Path(options.run).read_text().split("\n"), folder, options, True)
    finally:
        shutil.rmtree(folder)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS, "null"])
    parser.add_argument("--megapixels", nargs="+", type=float, default=[0.2])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device")
    parser.add_argument("--precision", default="tf32")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        return run_listed(options)
    folder = tempfile.mkdtemp()
    try:
        if options.memory:
            paths = make_photos(options.photos, 0.003, 100, folder)
            small, large = (peak_memory(paths, folder, options, n) for n in (1_000, 20_000))
            print(f"Peak memory: 1,000 images {small:.0f} MiB, 20,000 images {large:.0f} MiB")
            return None
        device = pick_device(options.device)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        print(f"{name}, {os.cpu_count()} processors, torch {torch.__version__}")
        of = ("by wall: scores, whole", "by CPU time") if device.type == "cpu" else ("/ least",)
        for megapixels in options.megapixels:
            count = max(16, round(options.images * min(1, 0.2 / megapixels) ** 0.7))
            paths = make_photos(options.photos, megapixels, count, folder)
            print(f"{count} JPEG of {megapixels:g} megapixels, images per second; shares {of}")
            heads = ("forward", "decode", "png", "scores", "whole")
            print(f"{'':<15}" + "".join(f"{head:>9}" for head in heads))
            for one in options.networks:
                measure(one, paths, folder, options)
    finally:
        shutil.rmtree(folder)
    return None


if __name__ == "__main__":
    main()
