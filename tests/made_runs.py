"""Runs for tests, made without training; and what is compared and spoiled."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import fiftyone as fo
import numpy as np
import pytest
import torch
from conftest import save_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import run_files, runs
from fiftyone_gradcam.dataset.files import dataset_folder
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.checkpoint import save_checkpoint
from fiftyone_gradcam.training.recipe import Recipe

CLASSES = ["digit 0", "digit 1", "digit 2"]
SIZE = 32
HISTORY = [
    {"epoch": epoch, "train_loss": 1 / 3 + epoch, "val_loss": 0.1 + epoch, "val_accuracy": accuracy}
    for epoch, accuracy in ((0, 0.1), (1, 0.7), (2, 0.9), (3, 0.8))
]
VALIDATIONS = [
    {
        "iteration": 10 * row["epoch"],
        "epoch": row["epoch"],
        "val_loss": row["val_loss"],
        "val_accuracy": row["val_accuracy"],
        "learning_rate": 1e-3 / 7,
        "seconds": 0.5,
    }
    for row in HISTORY
]
FINDINGS = [{"name": "few", "severity": "warning", "message": "Only 3 images of 'digit 1'"}]
FILES = ["curves.png", "model.pt", "state.pt", "watch.npz", "watch.png"]


def some_digits(folder, name, per_class=4) -> Iterator[fo.Dataset]:
    """A dataset of three digits, for a fixture; gone afterwards with its files."""
    dataset = fg.import_folders(str(save_digits(folder, per_class=per_class)), name)
    yield dataset
    shutil.rmtree(dataset_folder(dataset), ignore_errors=True)
    if not dataset.deleted:
        dataset.delete()


def make_run(dataset, key, seed=0, files=True, labels=runs.CURRENT, **choices) -> runs.Run:
    """Record a run with random weights that tell the images apart."""
    recipe = Recipe(backbone="small_cnn", weights="none", image_size=SIZE, **choices)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = get_backbone("small_cnn")
        model = backbone.build(len(CLASSES), recipe.hidden, recipe.dropout).train()
        paths = dataset.values("filepath")
        (batch,) = Images(paths, SIZE).batches(len(paths))
        pixels = backbone.normalize(batch.images)
        for module in model.modules():  # batch norm learns what images are like
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        with torch.no_grad():
            model(pixels)
            logits = model.eval()(pixels)
            last = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
            scale = 2 / logits.std(0)
            last.bias.copy_((last.bias - logits.mean(0)) * scale)
            last.weight.mul_(scale[:, None])
    path = run_files.checkpoint_path(dataset, key)
    folder = os.path.dirname(path)
    description = {"backbone": "small_cnn", "classes": CLASSES, "recipe": recipe.to_dict()}
    save_checkpoint(path, model.state_dict(), description)
    for name in FILES if files else ():
        if name != "model.pt":
            with open(os.path.join(folder, name), "wb") as file:
                file.write(f"{name} of {key}".encode())
    watch = {"maps": os.path.join(folder, "watch.npz"), "strip": os.path.join(folder, "watch.png")}
    run = runs.Run(
        key=key,
        dataset_name=dataset.name,
        classes=CLASSES,
        recipe=recipe.to_dict(),
        history=HISTORY,
        best_epoch=2,
        label_field="ground_truth",
        checkpoint=path,
        watch={"ids": ["0" * 24], **watch} if files else None,
        validations=VALIDATIONS,
        findings=FINDINGS,
        curves=os.path.join(folder, "curves.png") if files else None,
        val_accuracy=0.9,
        val_images=10,
        labels=labels,
    )
    return runs.save_run(dataset, run)


def digits_with_two_runs(folder, name) -> Iterator[fo.Dataset]:
    """Twelve digits in two splits, with two runs; the first has predicted all."""
    made = some_digits(folder, name, per_class=4)
    dataset = next(made)
    for seed, key in enumerate(("first", "second")):
        make_run(dataset, key, seed=seed, files=False)
    fg.predict(dataset, "first", progress=False, device="cpu")
    yield dataset
    next(made, None)


def logits_of(run, paths) -> np.ndarray:
    """(N, K) by the network as it was stored, with nothing folded."""
    (batch,) = Images(paths, SIZE, resize=run.recipe["resize"]).batches(len(paths))
    with torch.no_grad():
        return run.load_model()(get_backbone("small_cnn").normalize(batch.images)).numpy()


def tree(folder) -> dict[str, bytes]:
    """Every file below a folder, with what is in it."""
    found = {}
    for home, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(home, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = file.read()
    return found


def state_of(dataset) -> tuple:
    """All that is stored of runs, to be compared."""
    records = {key: fg.load_run(dataset, key) for key in dataset.list_runs()}
    infos = {
        name: (field.info, field.description) for name, field in dataset.get_field_schema().items()
    }
    return records, infos, tree(dataset_folder(dataset)), fg.list_runs(dataset)


def fail_before(function):
    """An error instead of the function."""

    def fail(*args, **kwargs):
        raise OSError("disk full")

    return fail


def fail_after(function):
    """The function, with an error once it is done."""

    def fail(*args, **kwargs):
        function(*args, **kwargs)
        raise OSError("disk full")

    return fail


@contextmanager
def failing(place, name, spoil=fail_before, always=False):
    """Let the first call of a function fail, or every one, and expect to hear of it."""
    original, calls = getattr(place, name), []

    def patched(*args, **kwargs):
        calls.append(args)
        spoils = always or len(calls) == 1
        return (spoil(original) if spoils else original)(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, patched)
        with pytest.raises(OSError, match="disk full"):
            yield
    assert calls
