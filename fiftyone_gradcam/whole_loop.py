"""The whole workflow on a folder of images, for the command line."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path

import fiftyone as fo

from .command_line import in_options
from .dataset import import_record
from .dataset.run_keys import free_key
from .dataset.shown import paint_by_value
from .dataset.views import accuracy
from .model.cached_weights import DEFAULT, default_backbone
from .model.weights import create_model
from .training.known_recipes import RECIPES
from .training.recipes import make_recipe
from .workflow.importing import import_folders, plan_import
from .workflow.predicting import predict
from .workflow.reviewing import find_label_issues
from .workflow.splitting import split
from .workflow.training import fine_tune


def run_loop(
    path: str,
    name: str | None = None,
    key: str | None = None,
    recipe: str = "default",
    seed: int = 0,
    layout: dict | None = None,
    keep_truncated: bool = False,
    max_pixels: int | None = None,
    **choices,
) -> tuple[fo.DatasetView, dict]:
    """Run the whole workflow on a folder of images.

    Train, val and test folders are kept; without them, the images are split.

    Args:
        path: a folder with one folder of images for each class
        name: name of the dataset; by default (None), the name of the folder
        key: key of the run; by default (None), the name of the backbone, with a number if that
            exists
        recipe: see `fine_tune`; images without a split are split with its fractions
        seed: random seed of the whole workflow
        layout: arguments of `plan_import` for classes and splits that should not be guessed
        keep_truncated, max_pixels: see `import_folders`
        **choices: options that replace those of the recipe; see `fine_tune`. If neither they nor
            the recipe name a backbone or weights, it is the one that the App's forms use (see
            `default_backbone`)

    Returns:
        a view of the samples, most suspicious first; and a dictionary of figures: dataset, run,
        val_accuracy, test_accuracy (None without test images), seconds
    """
    start = time.perf_counter()
    # Raise errors before anything is written.
    plan = plan_import(path, **(layout or {}))
    print(in_options(str(plan)))
    plan.check()
    chosen = make_recipe(recipe, seed=seed, **choices)
    if not {"backbone", "weights"} & choices.keys() and "backbone" not in RECIPES[recipe].choices:
        chosen = make_recipe(recipe, seed=seed, backbone=default_backbone(), **choices)
        if chosen.backbone != DEFAULT:
            print(
                f"Fine-tuning {chosen.backbone}: its ImageNet weights are on this machine. "
                f"--backbone {DEFAULT} downloads those of {DEFAULT}"
            )
    create_model(chosen.backbone, 2, chosen.weights)
    unusual = {"keep_truncated": keep_truncated, "max_pixels": max_pixels}
    dataset = import_folders(path, name, **(layout or {}), **unusual)
    if not dataset.info[import_record.INFO_KEY]["has_splits"]:
        split(dataset, recipe, seed=seed)
    key = key or free_key(dataset, chosen.backbone)
    run = fine_tune(dataset, key, chosen)
    predict(dataset, run, heatmaps=("predicted", "label", "contrast"))
    suspicious = find_label_issues(
        dataset,
        backbone=chosen.backbone,
        weights=chosen.weights,
        seed=seed,
        **({"epochs": chosen.epochs} if chosen.from_scratch else {}),
    )
    test_accuracy = accuracy(dataset.match_tags("test"))
    for part, value in (("Val", run.val_accuracy), ("Test", test_accuracy)):
        if value is not None:
            print(f"{part} accuracy {value:.1%}")
    return suspicious, {
        "dataset": dataset.name,
        "run": run.key,
        "val_accuracy": run.val_accuracy,
        "test_accuracy": test_accuracy,
        "seconds": round(time.perf_counter() - start, 1),
    }


def write_figures(figures: dict, path: str | None) -> None:
    """Write a dictionary of figures to a JSON file; do nothing if the path is None."""
    if path:
        Path(path).write_text(json.dumps(figures, indent=2) + "\n")


def print_suspicious(view: fo.DatasetView, count: int = 10) -> None:
    """Print the most suspicious labels, and how to open them in the App."""
    print("The most suspicious labels:")
    for sample in view.limit(count):
        other = (
            "" if sample.suggested_label is None else f", suggested {sample.suggested_label.label}"
        )
        print(
            f"  {sample.label_quality:.3f}  {sample.filepath}  {sample.ground_truth.label}{other}"
        )
    print(f"See them in the App: fiftyone app launch {shlex.quote(view.dataset_name)}")


def open_app(view: fo.DatasetView, port: int | None = None, colors: str | None = None) -> None:
    """Open the App and wait until it is closed or interrupted.

    Args:
        view: the view to show
        port: port of the App; by default (None), FiftyOne's setting
        colors: "jet" shows heatmaps in jet at half opacity, for all datasets in this App; by
            default (None), each field has one color
    """
    if colors is not None:
        paint_by_value(view._root_dataset)
        fo.app_config.colorscale = os.environ["FIFTYONE_APP_COLORSCALE"] = colors
    session = fo.launch_app(view, port=port)
    print(f"The App shows {view.dataset_name!r}, the most suspicious labels first")
    print("Press Ctrl+C to end")
    session.wait(-1)
