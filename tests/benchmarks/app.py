"""The App: how soon a job is cancelled, a panel is open, and the samples of a cell are shown, with
100,000 samples and 100 classes; and how fast a training is as a job.

python tests/benchmarks/app.py PHOTOS NAME=WEIGHTS [--samples 100000] [--classes 100]

PHOTOS is a folder of class folders, NAME=WEIGHTS a backbone and its file of ImageNet weights.
Needs Chromium and Playwright.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
from browser import ARGUMENTS, AppPage, find_chromium
from PIL import Image
from playwright.sync_api import sync_playwright

import fiftyone_gradcam as fg
from fiftyone_gradcam import doctor
from fiftyone_gradcam.dataset.fields import describe_field, index

PORT = 5196


def fill(samples: int, classes: int, folder: Path) -> fo.Dataset:
    """A dataset as `predict` leaves it, of made-up predictions: nine in ten are right."""
    name = "benchmark of the panel"
    if fo.dataset_exists(name):
        fo.delete_dataset(name)
    path = str(folder / "one.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    random = np.random.default_rng(0)
    names = [f"class {number:03d}" for number in range(classes)]
    labels = random.integers(0, classes, samples)
    predicted = np.where(random.random(samples) < 0.9, labels, random.integers(0, classes, samples))
    dataset = fo.Dataset(name, persistent=True)
    logits = random.normal(size=classes).astype(np.float32)
    scores = (np.exp(logits) / np.exp(logits).sum()).tolist()
    tags = random.choice(["train", "val", "test"], samples, p=[0.6, 0.2, 0.2])
    step = 5000
    for start in range(0, samples, step):
        rows = range(start, min(start + step, samples))
        dataset.add_samples(
            [
                fo.Sample(
                    filepath=path,
                    tags=[str(tags[i])],
                    ground_truth=fo.Classification(label=names[labels[i]]),
                    prediction=fo.Classification(
                        label=names[predicted[i]], confidence=float(random.random()), logits=logits
                    ),
                    prediction_scores=scores,
                    gradcam=fo.Heatmap(map_path=path),
                )
                for i in rows
            ],
            progress=False,
        )
    index(dataset, ["prediction.label", "prediction.label_score", "ground_truth.label"])
    facts = {"run": "made_up", "label_field": "ground_truth", "classes": names}
    describe_field(dataset, "prediction", "made up", **facts)
    describe_field(dataset, "gradcam", "made up", run="made_up", kind="predicted")
    return dataset


def panel(dataset: fo.Dataset) -> None:
    """Open the panel, its tab of evaluation, and cells of the matrix."""
    session = fo.launch_app(dataset, remote=True, address="127.0.0.1", port=PORT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        tab = browser.new_page(viewport={"width": 1500, "height": 900})
        app = AppPage(tab, f"http://127.0.0.1:{PORT}/")
        app.open(dataset.name)
        tab.wait_for_timeout(5000)
        tab.locator("[data-cy=new-panel-btn]").first.click()
        choice = tab.get_by_text("Grad-CAM classifier", exact=True).first
        choice.wait_for()
        start = time.perf_counter()
        choice.click()
        tab.get_by_text("Next:").first.wait_for()
        print(f"  panel open: {time.perf_counter() - start:.2f} s (asked: 2)")
        start = time.perf_counter()
        app.tab("Evaluate")
        tab.locator(".js-plotly-plot .nsewdrag").first.wait_for()
        print(f"  confusion matrix: {time.perf_counter() - start:.2f} s")
        labels, predicted = dataset.match_tags("test").values(
            ["ground_truth.label", "prediction.label"]
        )
        pairs = list(zip(labels, predicted, strict=True))
        classes = sorted({*labels, *predicted})
        seconds = []
        for number in range(5):
            row = column = 7 + 13 * number
            box = tab.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
            x = box["x"] + box["width"] * (column + 0.5) / len(classes)
            y = box["y"] + box["height"] * (row + 0.5) / len(classes)
            tab.mouse.move(x, y)
            tab.wait_for_timeout(300)
            count = pairs.count((classes[row], classes[column]))
            start = time.perf_counter()
            tab.mouse.click(x, y)
            tab.get_by_text(f"{count} samples", exact=True).first.wait_for()
            seconds.append(time.perf_counter() - start)
            tab.wait_for_timeout(2000)
        times = ", ".join(f"{x:.2f}" for x in seconds)
        print(f"  a click until its samples are counted: {times} s (asked: 1)")
        browser.close()
    session.close()


def cancelling(dataset: fo.Dataset, choices: dict) -> None:
    """Cancel trainings at different moments."""
    seconds = []
    for number in range(5):
        key = f"cancel_{number}"
        job = fg.fine_tune(dataset, key, **choices, epochs=50, overwrite=True, delegate=True)
        while not (job := job.refresh()).message or job.state == "queued":
            time.sleep(0.1)
        time.sleep(3.0 * number)
        start = time.perf_counter()
        job.cancel()
        with contextlib.suppress(fg.CancelledError):
            job.wait()
        seconds.append(time.perf_counter() - start)
    times = ", ".join(f"{x:.1f}" for x in seconds)
    print(f"  from Cancel to the end of the work: {times} s (asked: 5)")


def speed(dataset: fo.Dataset, choices: dict) -> None:
    """Epochs of the same training in the foreground and as a job, in turn."""
    found: dict[str, list[float]] = {"foreground": [], "job": []}
    for number in range(3):
        for way, speeds in found.items():
            key = f"{way}_{number}"
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                run = fg.fine_tune(
                    dataset, key, **choices, epochs=4, overwrite=True, delegate=way == "job"
                )
            if way == "job":
                run.wait()
                run = fg.load_run(dataset, key)
            rows = [row["images_per_second"] for row in run.history if row["epoch"] > 1]
            speeds.append(statistics.median(rows))
    own, job = (statistics.median(found[way]) for way in found)
    print(f"  foreground {own:.1f}, as a job {job:.1f} images/s: {job / own:.3f} (asked: 0.97)")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("network", metavar="NAME=WEIGHTS")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--only", choices=("panel", "cancel", "speed"))
    options = parser.parse_args()
    backbone, _, weights = options.network.partition("=")
    choices = {"backbone": backbone, "weights": weights}
    doctor.link_plugin()
    assert foo.operator_exists("@gradcam/classifier/fine_tune")
    photos = None
    if options.only != "panel":
        with contextlib.redirect_stdout(io.StringIO()):
            photos = fg.import_folders(str(options.photos), "benchmark of jobs", overwrite=True)
    if options.only in (None, "speed"):
        print(f"Speed of a training, {backbone}, {len(photos)} images")
        speed(photos, choices)
    if options.only in (None, "cancel"):
        print(f"Cancel, {backbone}")
        cancelling(photos, choices)
    if options.only in (None, "panel"):
        print(f"The panel, {options.samples} samples, {options.classes} classes")
        with tempfile.TemporaryDirectory() as folder:
            dataset = fill(options.samples, options.classes, Path(folder))
            panel(dataset)
            dataset.delete()
    if photos is not None:
        photos.delete()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the App's server is not waited for
