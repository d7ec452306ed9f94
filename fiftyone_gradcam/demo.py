"""The demo: the whole workflow on real images, with wrong labels planted on purpose."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import fiftyone as fo
import numpy as np
from PIL import Image

from .dataset import import_record
from .dataset.pretrained import pick_backbone
from .dataset.views import accuracy
from .demo_photos import find_photos, make_photo_folders
from .progress import counted
from .workflow.importing import import_folders
from .workflow.predicting import predict
from .workflow.reviewing import find_label_issues
from .workflow.splitting import split
from .workflow.training import fine_tune

DATASET_NAME, PHOTOS_NAME = "gradcam-demo", "gradcam-demo-photos"
RUN_KEY = "small_cnn"
INFO_KEY = "demo"
PLANTED_SHARE = 0.01
PLANTED_TAG = "planted error"
PHOTO_EPOCHS = 3
SIDE, JUDGED_SIDE = 64, 16
# Digits must not be flipped. They fill the image, so only small shifts are allowed.
RECIPE = {
    "backbone": "small_cnn",
    "weights": "none",
    "epochs": 6,
    "batch_size": 64,
    "horizontal_flip": False,
    "translation": 2,
}


@dataclass(frozen=True)
class DemoFolders:
    """A folder with one subfolder for each class; `planted` maps files in a wrong folder to their
    class."""

    root: Path
    planted: dict[str, str]


def make_folders(root: Path, seed: int = 0) -> DemoFolders:
    """Write scikit-learn's 1,797 handwritten digits as PNG files, 1% of them in a wrong folder.

    Args:
        root: the folder to write, which is replaced if it exists
        seed: random seed of the planted errors
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    random = np.random.default_rng(seed)
    labels = digits.target.copy()
    planted = random.choice(len(labels), round(PLANTED_SHARE * len(labels)), replace=False)
    labels[planted] = (labels[planted] + random.integers(1, 10, len(planted))) % 10
    shutil.rmtree(root, ignore_errors=True)
    wrong = {}
    for number, (pixels, label, truth) in enumerate(
        zip(digits.images, labels, digits.target, strict=True)
    ):
        folder = root / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"digit_{number:04d}.png"
        image = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
        image.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)
        if label != truth:
            wrong[str(path)] = str(truth)
    return DemoFolders(root, wrong)


def run_demo(seed: int = 0) -> tuple[fo.DatasetView, dict]:
    """Run the whole workflow on digits with planted errors.

    Returns:
        a view of the samples, most suspicious first; and a dictionary of figures: dataset, run,
        test_accuracy (measured with the labels of the folders), planted, found (planted errors
        among the first 2 x planted samples by `label_quality`), seconds

    Raises:
        ValueError: if a dataset of the demo's name exists that the demo did not make
    """
    start = time.perf_counter()
    check_name(DATASET_NAME)
    made = make_folders(_home() / "digits", seed)
    dataset = _import(made, DATASET_NAME)
    split(dataset, seed=seed)
    # Smaller images are faster to judge; heatmaps need larger ones.
    suspicious = find_label_issues(dataset, seed=seed, **RECIPE, image_size=JUDGED_SIDE)
    fine_tune(dataset, RUN_KEY, seed=seed, watch=5, **RECIPE)
    predict(dataset, RUN_KEY, heatmaps=("predicted", "label", "contrast"))
    test_accuracy = accuracy(dataset.match_tags("test"))
    found = _found(made, suspicious)
    print(f"Test accuracy {test_accuracy:.1%}")
    return suspicious, {
        "dataset": DATASET_NAME,
        "run": RUN_KEY,
        "test_accuracy": test_accuracy,
        "planted": len(made.planted),
        "found": found,
        "seconds": round(time.perf_counter() - start, 1),
    }


def run_photo_demo(folder: str | None = None, seed: int = 0) -> tuple[fo.DatasetView, dict]:
    """Run the whole workflow on photos of ants and bees, with some ants among the bees.

    Args:
        folder: folder with the photos; by default (None), they are downloaded (see `find_photos`)
        seed: random seed of the whole workflow

    Returns:
        a view of the samples, most suspicious first; and a dictionary of figures: dataset, run,
        val_accuracy (None without validation images), planted, found, seconds

    Raises:
        ValueError: if a dataset of the demo's name exists that the demo did not make, or the folder
            does not contain the photos
        ConnectionError: if photos or pretrained weights cannot be downloaded
    """
    start = time.perf_counter()
    check_name(PHOTOS_NAME)
    source = find_photos(folder, _home())
    made = DemoFolders(_home() / "photos", make_photo_folders(source, _home() / "photos", seed))
    dataset = _import(made, PHOTOS_NAME)
    backbone, weights = pick_backbone(dataset, None, None, "the demo needs them")
    if weights == "none":
        raise ConnectionError(
            "Photos need a pretrained network, and no weights can be downloaded. Put a weights "
            "file, such as that of mobilenet_v2, into the cache of torch.hub, or leave --photos "
            "out for the demo on handwritten digits"
        )
    if not dataset.info[import_record.INFO_KEY]["has_splits"]:
        split(dataset, seed=seed)
    chosen = {"backbone": backbone, "weights": weights}
    suspicious = find_label_issues(dataset, seed=seed, **chosen)
    run = fine_tune(dataset, backbone, seed=seed, watch=5, epochs=PHOTO_EPOCHS, **chosen)
    predict(dataset, run, heatmaps=("predicted", "label", "contrast"))
    found = _found(made, suspicious)
    if run.val_accuracy is not None:
        print(f"Validation accuracy {run.val_accuracy:.1%}")
    return suspicious, {
        "dataset": PHOTOS_NAME,
        "run": run.key,
        "val_accuracy": run.val_accuracy,
        "planted": len(made.planted),
        "found": found,
        "seconds": round(time.perf_counter() - start, 1),
    }


def check_name(name: str) -> None:
    """Check that a dataset may be replaced because the demo made it.

    Raises:
        ValueError: naming the dataset
    """
    if fo.dataset_exists(name) and not fo.load_dataset(name).info.get(INFO_KEY):
        raise ValueError(
            f"Dataset {name!r} exists already, and was not made by the demo. "
            f"Rename or delete it first"
        )


def _home() -> Path:
    """The folder with the demo's files."""
    base = os.path.expanduser(fo.config.default_dataset_dir)
    return Path(os.path.abspath(base)) / "fiftyone_gradcam" / "demo"


def _import(made: DemoFolders, name: str) -> fo.Dataset:
    """Import a folder, and tag the planted errors."""
    print(
        f"Made {made.root}, with {counted(len(made.planted), 'image')} in a wrong folder on purpose"
    )
    dataset = import_folders(str(made.root), name, overwrite=True)
    dataset.info[INFO_KEY] = {"planted": len(made.planted)}
    dataset.save()
    dataset.select_by("filepath", list(made.planted)).tag_samples(PLANTED_TAG)
    return dataset


def _found(made: DemoFolders, suspicious: fo.DatasetView) -> int:
    """Count the planted errors among the first samples, and print the number."""
    places = suspicious.limit(2 * len(made.planted)).values("filepath")
    found = sum(path in made.planted for path in places)
    print(
        f"{found} of the {len(made.planted)} planted errors are among the first {len(places)} "
        f"by label_quality"
    )
    return found
