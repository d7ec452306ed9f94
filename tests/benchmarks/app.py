"""The App: how soon a job is cancelled, a panel is open, and the samples of a click are shown, with
100,000 samples and 100 classes; and how fast a training is as a job.

python tests/benchmarks/app.py PHOTOS NAME=WEIGHTS [--samples 100000] [--classes 100]

PHOTOS is a folder of class folders, NAME=WEIGHTS a backbone and its file of ImageNet weights.
Needs Chromium and Playwright.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
from browser import ARGUMENTS, AppPage, find_chromium
from bson import ObjectId, json_util
from PIL import Image
from playwright.sync_api import sync_playwright
from scored import scores_of

import fiftyone_gradcam as fg
from fiftyone_gradcam import doctor
from fiftyone_gradcam.dataset.fields import describe_field, index

PORT = 5196
PLOT = "() => !!document.querySelector('.js-plotly-plot .nsewdrag')"
# Whether an element is in sight whose text begins with a text.
SHOWN = """(text) => [...document.querySelectorAll('body *')].some((x) =>
    x.textContent.length < 300 && x.textContent.trim().startsWith(text) && x.checkVisibility())"""


def fill(samples: int, classes: int, folder: Path) -> fo.Dataset:
    """A dataset as `predict` leaves it, of made-up predictions: about nine in ten are right."""
    name = "benchmark of the panel"
    if fo.dataset_exists(name):
        fo.delete_dataset(name)
    path = str(folder / "one.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    names = [f"class {number:03d}" for number in range(classes)]
    dataset = fo.Dataset(name, persistent=True)
    logits = np.zeros(classes, np.float32)
    sample = fo.Sample(
        filepath=path,
        tags=["train"],
        ground_truth=fo.Classification(label=names[0]),
        prediction=fo.Classification(
            label=names[0], confidence=0.5, logits=logits, label_score=0.5, margin=0.5, entropy=0.5
        ),
        prediction_scores=[0.5] * classes,
        gradcam=fo.Heatmap(map_path=path),
    )
    dataset.add_samples([sample], dynamic=True, progress=False)
    collection = dataset._sample_collection
    template = collection.find_one()
    collection.delete_many({})
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, samples)
    tags = random.choice(["train", "val", "test"], samples, p=[0.6, 0.2, 0.2])
    step = 5000
    for start in range(0, samples, step):  # FiftyOne would take minutes
        own = labels[start : start + step]
        scores = scores_of(own, classes, start, 7.0)
        best, documents = scores.argmax(1), []
        for i, (label, row) in enumerate(zip(own, scores.tolist(), strict=True)):
            document = copy.deepcopy(template) | {"_id": ObjectId(), "tags": [str(tags[start + i])]}
            document["_rand"] = float(random.random())
            document["ground_truth"] |= {"_id": ObjectId(), "label": names[label]}
            document["gradcam"] |= {"_id": ObjectId()}
            values = {"confidence": max(row), "label_score": row[label], "label": names[best[i]]}
            document["prediction"] |= {"_id": ObjectId(), **values}
            document["prediction_scores"] = row
            documents.append(document)
        collection.insert_many(documents)
    dataset = fo.load_dataset(name, reload=True)
    index(dataset, ["prediction.label", "prediction.label_score", "ground_truth.label"])
    facts = {"run": "made_up", "label_field": "ground_truth", "classes": names}
    describe_field(dataset, "prediction", "made up", **facts)
    describe_field(dataset, "gradcam", "made up", run="made_up", kind="predicted")
    return dataset


def seconds_from(app: AppPage, act: Callable, code: str, text: str | None = None) -> float:
    """How long it takes from an action until a condition is true in the App.

    The browser checks it at each frame. Playwright's own waiting does so twice a second.
    """
    start = time.perf_counter()
    act()
    app.page.wait_for_function(code, arg=text)
    return time.perf_counter() - start


def seconds_until(app: AppPage, act: Callable, count: int) -> float:
    """How long it takes from a click until the App has counted its samples."""
    text = f"{count:,} samples"
    if app.page.evaluate(SHOWN, text):  # as many by chance: without this it would take no time
        app.page.evaluate("window.__foo__.executeOperator('@voxel51/operators/clear_view', {})")
        app.page.get_by_text(text, exact=True).first.wait_for(state="hidden")
        app.page.wait_for_timeout(2000)
    return seconds_from(app, act, SHOWN, text)


def by_itself(app: AppPage, dataset: fo.Dataset, labels: np.ndarray) -> None:
    """The same without this plugin: views that FiftyOne's own operator sets in the browser."""
    seconds = []
    for number in range(5):
        name = sorted(set(labels))[3 + 7 * number]
        view = dataset.match_tags("test").match({"ground_truth.label": name})
        stages = json.loads(json_util.dumps(view._serialize()))
        app.page.wait_for_timeout(2000)
        operator = "'@voxel51/operators/set_view'"
        act = f"window.__foo__.executeOperator({operator}, {{view: {json.dumps(stages)}}})"
        count = int((labels == name).sum())
        seconds.append(seconds_until(app, lambda act=act: app.page.evaluate(act), count))
    said("FiftyOne by itself, a view of a class until its samples are counted", seconds, None)


def said(what: str, seconds: list[float], asked: float | None) -> None:
    """Print some times, and how busy the machine is."""
    goal = "" if asked is None else f" (asked: {asked:g})"
    times = ", ".join(f"{x:.2f}" for x in seconds)
    print(f"  {what}: {times} s{goal}; load {os.getloadavg()[0]:.1f}", flush=True)


def panel(dataset: fo.Dataset) -> None:
    """Open the panel, its tabs Evaluate and Scores, and what can be clicked in them."""
    session = fo.launch_app(dataset, remote=True, address="127.0.0.1", port=PORT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        tab = browser.new_page(viewport={"width": 1500, "height": 900})
        app = AppPage(tab, f"http://127.0.0.1:{PORT}/", moves=True)
        app.open(dataset.name)
        tab.wait_for_timeout(5000)
        test = dataset.match_tags("test")
        labels, predicted, scores = test.values(
            ["ground_truth.label", "prediction.label", "prediction_scores"]
        )
        by_itself(app, dataset, np.array(labels))
        tab.locator("[data-cy=new-panel-btn]").first.click()
        choice = tab.get_by_text("Grad-CAM classifier", exact=True).first
        choice.wait_for()
        said("panel open", [seconds_from(app, choice.click, SHOWN, "Evaluate")], 2)
        tab.wait_for_timeout(5000)
        evaluate(app, np.array(labels), np.array(predicted))
        seconds = seconds_from(app, lambda: app.tab("Scores"), PLOT)
        said(f"histogram (test, {len(labels)} samples)", [seconds], 2)
        shown = score(app, np.array(labels), np.array(scores), "test")
        labels, scores = dataset.values(["ground_truth.label", "prediction_scores"])
        text = f"Scores of {shown}: {labels.count(shown)} images"
        tab.get_by_text("Of the samples tagged", exact=True).last.locator(
            "xpath=following::*[@role='combobox'][1]"
        ).click()
        option = tab.get_by_role("option", name="all samples").first
        option.wait_for()
        seconds = seconds_from(app, option.click, SHOWN, text)
        said(f"histogram (all, {len(labels)} samples)", [seconds], 2)
        score(app, np.array(labels), np.array(scores), "all")
        browser.close()
    session.close()


def evaluate(app: AppPage, labels: np.ndarray, predicted: np.ndarray) -> None:
    """Rows of the tab "Evaluate"."""
    tab = app.page
    said("confusion matrix", [seconds_from(app, lambda: app.tab("Evaluate"), PLOT)], 2)
    for what in ("a row of a confused pair", "a class"):
        seconds = []
        for number in range(5):
            tab.wait_for_timeout(2000)
            table = tab.locator("table").nth(0 if "pair" in what else 1)
            row = table.locator("tbody tr").nth(3 * number)
            cells = row.locator("td").all_inner_texts()
            own = labels == cells[0]
            count = int((own & (predicted == cells[1])).sum() if "pair" in what else own.sum())
            seconds.append(seconds_until(app, row.click, count))
        said(f"click on {what} until its samples are counted", seconds, 1)


def score(app: AppPage, labels: np.ndarray, scores: np.ndarray, part: str) -> str:
    """Classes and sides of the threshold in the tab "Scores"; the class that is shown last."""
    tab = app.page
    names = sorted(set(labels))
    chosen, clicks = [], []
    for number in range(5):
        name = names[(7 + 13 * number) % len(names)]
        column, own = scores[:, names.index(name)], labels == name
        box = tab.get_by_role("combobox", name="Class").or_(
            tab.get_by_placeholder("Type or select a value")
        )
        box.first.fill(name)
        option = tab.get_by_role("option", name=name).first
        option.wait_for()
        chosen.append(seconds_from(app, option.click, SHOWN, f"Scores of {name}"))
        tab.wait_for_timeout(1500)
        for wanted, words in (
            (own & (column < 0.5), "with this label below"),
            (~own & (column >= 0.5), "with another label at"),
        ):
            if not wanted.any():  # which shows a message and no view
                continue
            button = tab.get_by_role("button", name=f"Show {wanted.sum()} {words}")
            clicks.append(seconds_until(app, button.first.click, int(wanted.sum())))
            tab.wait_for_timeout(2000)
    said(f"another class ({part})", chosen, 1)
    said(f"click on a side of the threshold until its samples are counted ({part})", clicks, 1)
    return name


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
