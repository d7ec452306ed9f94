"""Training runs: recorded on the dataset as FiftyOne custom runs, with a checkpoint on disk."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import fiftyone as fo

from .fields import root_dataset
from .files import run_folder

if TYPE_CHECKING:
    from torch import nn

METHOD = "gradcam/fine_tune"
CHECKPOINT = "model.pt"


@dataclass(frozen=True)
class Run:
    """A trained classifier of a dataset.

    Attributes:
        key: the name of the run on its dataset
        dataset_name: the dataset
        classes: class names, in the order of all score vectors
        recipe: every choice of the training (see `fiftyone_gradcam.model.recipe.Recipe`)
        history: one dictionary per epoch: train_loss, train_accuracy, val_loss, val_accuracy,
            learning_rate, seconds
        best_epoch: the epoch whose weights were kept
        label_field: the field that it was trained to predict
        checkpoint: path of the file of weights
        watch: of a run that watched samples: their "ids", and the paths of "maps" (an .npz file
            with ids, labels, maps (epochs, N, h, w), scores (epochs, N) of the own label, and
            predicted) and of "strip" (a picture of how the focus moved); None of others
    """

    key: str
    dataset_name: str
    classes: list[str]
    recipe: dict
    history: list[dict]
    best_epoch: int
    label_field: str
    checkpoint: str
    watch: dict | None = None

    @property
    def layer(self) -> str:
        """Where Grad-CAM takes the target tensor, unless told otherwise."""
        from ..model.backbones import get_backbone

        return get_backbone(self.recipe["backbone"]).family.layer

    @property
    def val_accuracy(self) -> float | None:
        """Accuracy of the kept weights on the watched images; None if none were watched."""
        return self.history[self.best_epoch - 1]["val_accuracy"] if self.history else None

    def load_model(self) -> nn.Module:
        """The torch module in eval mode, on the CPU.

        Raises:
            FileNotFoundError, ValueError: if the checkpoint is gone or damaged
        """
        from ..model.checkpoint import load_checkpoint

        return load_checkpoint(self.checkpoint)[0]

    def __str__(self) -> str:
        accuracy = "" if self.val_accuracy is None else f", val accuracy {self.val_accuracy:.3f}"
        return (
            f"run {self.key!r}: {self.recipe['backbone']}, {len(self.classes)} classes, "
            f"{len(self.history)} epochs (best {self.best_epoch}){accuracy}"
        )


class Pretrained(Run):
    """A backbone with its ImageNet classes, as it comes: a `Run` that was never trained here.

    `checkpoint` holds its `weights`: "imagenet", or the path of a file.
    """

    def load_model(self) -> nn.Module:
        """The torch module in eval mode, on the CPU.

        Raises:
            ValueError, FileNotFoundError, ConnectionError: if its weights cannot be had
        """
        from ..model.weights import create_pretrained

        return create_pretrained(self.recipe["backbone"], self.checkpoint)

    def __str__(self) -> str:
        return f"{self.recipe['backbone']} with its {len(self.classes)} ImageNet classes"


def pretrained(dataset: fo.Dataset, backbone: str, weights: str, resize: str) -> Pretrained:
    """A backbone as a run of a dataset, for prediction alone.

    Raises:
        ValueError: if there is no such backbone or it has no ImageNet weights
    """
    from ..model.recipe import Recipe
    from ..model.weights import imagenet_classes

    recipe = Recipe(backbone=backbone, weights=weights, resize=resize)
    return Pretrained(
        key=f"{backbone}/imagenet",
        dataset_name=dataset.name,
        classes=imagenet_classes(),
        recipe=recipe.to_dict(),
        history=[],
        best_epoch=0,
        label_field="ground_truth",
        checkpoint=weights,
    )


def check_key(dataset: fo.Dataset, key: str, overwrite: bool) -> None:
    """Refuse a key that FiftyOne cannot store, or that is taken.

    Raises:
        ValueError: with the remedy
    """
    if not isinstance(key, str) or not key.isidentifier():
        raise ValueError(f"{key!r} is no run key. Use letters, digits and underscores")
    if key not in dataset.list_runs():
        return
    if dataset.get_run_info(key).config.method != METHOD:
        raise ValueError(f"Run {key!r} of {dataset.name!r} is not a training. Choose another key")
    if not overwrite:
        raise ValueError(
            f"Run {key!r} exists already on {dataset.name!r}. Choose another key, or pass "
            f"overwrite=True to replace it"
        )


def save_run(dataset: fo.Dataset, run: Run) -> None:
    """Record a run whose checkpoint is written already."""
    if run.key in dataset.list_runs():
        dataset.delete_run(run.key)
    config = dataset.init_run(
        method=METHOD,
        classes=run.classes,
        recipe=run.recipe,
        best_epoch=run.best_epoch,
        label_field=run.label_field,
        checkpoint=run.checkpoint,
        watch=run.watch,
        val_accuracy=run.val_accuracy,
    )
    dataset.register_run(run.key, config)
    results = dataset.init_run_results(run.key, history=run.history)
    dataset.save_run_results(run.key, results)


def load_run(samples: fo.core.collections.SampleCollection, key: str | Run) -> Run:
    """Look a run up by its key.

    Raises:
        ValueError: if the dataset has no such training; the message lists those it has
    """
    if isinstance(key, Run):
        return key
    dataset = root_dataset(samples)
    known = list_runs(dataset)
    if key not in known:
        raise ValueError(
            f"{dataset.name!r} has no training run {key!r}. "
            f"Its runs: {', '.join(known) or 'none yet; call fine_tune() first'}"
        )
    config = dataset.get_run_info(key).config
    return Run(
        key=key,
        dataset_name=dataset.name,
        classes=list(config.classes),
        recipe=dict(config.recipe),
        history=list(dataset.load_run_results(key).history),
        best_epoch=config.best_epoch,
        label_field=config.label_field,
        checkpoint=config.checkpoint,
        watch=getattr(config, "watch", None),
    )


def list_runs(samples: fo.core.collections.SampleCollection) -> list[str]:
    """Keys of the trainings of a dataset, in the order in which they were made."""
    dataset = root_dataset(samples)
    keys = dataset.list_runs(method=METHOD)
    return sorted(keys, key=lambda key: dataset.get_run_info(key).timestamp)


def free_key(dataset: fo.Dataset, name: str) -> str:
    """A key for a new run: the name, with a number behind it if it is taken."""
    taken, key, number = set(dataset.list_runs()), name, 1
    while key in taken:
        number += 1
        key = f"{name}_{number}"
    return key


def checkpoint_path(dataset: fo.Dataset, key: str) -> str:
    """Where the checkpoint of a run is written."""
    return os.path.join(run_folder(dataset, key), CHECKPOINT)


def remove_run_files(dataset: fo.Dataset, key: str) -> None:
    """Delete the folder of a run."""
    shutil.rmtree(run_folder(dataset, key), ignore_errors=True)
