"""From files to fields: predictions and heatmaps in images per second, beside the documented way
with FiftyOne and the package grad-cam, and beside the limit of the machine.

python tests/benchmarks/predict.py PHOTOS NAME=WEIGHTS [NAME=WEIGHTS ...] [--repeats 3] [--times 1]

PHOTOS is a folder of class folders. The limit is 1 / (1/forward + 1/(cores x decode)), with the
pure forward pass and one decoding thread measured in the same run. Needs the package grad-cam.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import fiftyone as fo
import numpy as np
import torch
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.decode import decode
from fiftyone_gradcam.images.geometry import to_square
from fiftyone_gradcam.model.backbones import get_backbone

BATCH, SIDE = 16, 224


def clock(functions: dict, counts: dict[str, int], repeats: int) -> dict[str, float]:
    """Images per second of several functions, the medians of repeats in turn, so that a machine
    that is now faster and now slower is so for all of them; each is run once to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: counts[name] / statistics.median(taken) for name, taken in seconds.items()}


def documented(dataset: fo.Dataset, run: fg.Run) -> None:
    """Predict, explain and save in batches, as the documentation of both packages shows."""
    from pytorch_grad_cam import GradCAM
    from torchvision import transforms

    model = run.load_model()
    layer = model.get_submodule(get_backbone(run.recipe["backbone"]).family.layer)
    prepare = transforms.Compose(
        [
            transforms.Resize((SIDE, SIDE)),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    samples = list(dataset.iter_samples())
    with GradCAM(model=model, target_layers=[layer]) as cam:
        for start in range(0, len(samples), BATCH):
            batch = samples[start : start + BATCH]
            images = torch.stack(
                [prepare(Image.open(sample.filepath).convert("RGB")) for sample in batch]
            )
            with torch.no_grad():
                logits = model(images)
            maps = cam(input_tensor=images, targets=None)
            scores = logits.softmax(1)
            for sample, row, scored, heatmap in zip(batch, logits, scores, maps, strict=True):
                sample["documented"] = fo.Classification(
                    label=run.classes[int(row.argmax())],
                    confidence=float(scored.max()),
                    logits=row.numpy(),
                )
                sample["documented_cam"] = fo.Heatmap(map=heatmap)
                sample.save()


def ours(dataset: fo.Dataset, run: fg.Run | str, **options) -> None:
    """The verb."""
    with contextlib.redirect_stdout(io.StringIO()):
        fg.predict(dataset, run, batch_size=BATCH, progress=False, **options)


def make_dataset(photos: str, copies: int = 1) -> fo.Dataset:
    """A dataset of the photos, each some times."""
    name = "benchmark predict"
    if fo.dataset_exists(name):
        fo.delete_dataset(name)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = fg.import_folders(photos, name, progress=False)
    paths = dataset.values("filepath")
    dataset.add_samples([fo.Sample(path) for path in paths * (copies - 1)], progress=False)
    return dataset


def measure(photos: str, backbone: str, weights: str, repeats: int, times: int) -> None:
    """Print a row."""
    dataset = make_dataset(photos, times)
    with contextlib.redirect_stdout(io.StringIO()):
        run = fg.fine_tune(
            dataset.select(dataset.take(64, seed=0).values("id")),
            "one",
            backbone=backbone,
            weights=weights,
            resize="squash",
            epochs=1,
            progress=False,
        )
    paths = dataset.values("filepath")
    row = get_backbone(backbone)
    model = run.load_model().to(memory_format=torch.channels_last)
    (batch,) = Images(paths[:BATCH], SIDE).batches(BATCH)
    pixels = row.normalize(batch.images).contiguous(memory_format=torch.channels_last)

    def forward() -> None:
        with torch.inference_mode():
            for _ in range(8):
                model(pixels)

    def decoding() -> None:
        for path in paths[:100]:
            np.asarray(to_square(decode(path, SIDE).image, SIDE))

    # A dataset of its own, or its large documents would slow ours down.
    other = dataset.clone()
    functions = {
        "forward": forward,
        "decode": decoding,
        "ours": lambda: ours(dataset, run),
        "documented": lambda: documented(other, run),
    }
    count = len(paths)
    counts = {"forward": 8 * BATCH, "decode": min(100, count), "ours": count, "documented": count}
    speed = clock(functions, counts, repeats)
    limit = 1 / (1 / speed["forward"] + 1 / ((os.cpu_count() or 1) * speed["decode"]))
    print(
        f"{backbone:<16}{speed['forward']:>9.0f}{speed['decode']:>9.0f}{limit:>9.0f}"
        f"{speed['documented']:>12.1f}{speed['ours']:>9.1f}"
        f"{speed['ours'] / speed['documented']:>9.1f}{speed['ours'] / limit:>9.2f}",
        flush=True,
    )
    other.delete()
    dataset.delete()


def peak_memory(photos: str, backbone: str, weights: str, copies: int) -> float:
    """Peak memory of a process that predicts the photos some times over, in MiB."""
    command = [sys.executable, __file__, photos, f"{backbone}={weights}", "--copies", str(copies)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("backbones", nargs="+", metavar="NAME=WEIGHTS")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--times", type=int, default=1, help="how often to use each photo")
    parser.add_argument("--copies", type=int, help="only predict, and print the peak memory")
    options = parser.parse_args()
    pairs = [item.partition("=")[::2] for item in options.backbones]
    if options.copies:
        backbone, weights = pairs[0]
        dataset = make_dataset(options.photos, options.copies)
        ours(dataset, backbone, weights=weights)
        status = Path("/proc/self/status").read_text()
        print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
        dataset.delete()
        return
    print(
        f"{'images/s':<16}{'forward':>9}{'decode':>9}{'limit':>9}{'documented':>12}{'ours':>9}"
        f"{'x docum.':>9}{'/ limit':>9}"
    )
    for backbone, weights in pairs:
        measure(options.photos, backbone, weights, options.repeats, options.times)
    small, large = (peak_memory(options.photos, *pairs[0], copies) for copies in (1, 10))
    print(f"Peak memory, {pairs[0][0]}: {small:.0f} MiB, with ten times the images {large:.0f} MiB")


if __name__ == "__main__":
    main()
