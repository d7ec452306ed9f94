"""Training runs: recorded on the dataset as FiftyOne custom runs, with a checkpoint on disk."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import fiftyone as fo

from ..folders.names import MOST_BYTES, check_name, same
from .fields import root_dataset
from .files import run_folder

if TYPE_CHECKING:
    from torch import nn

    from .apply import RunModel

METHOD = "gradcam/fine_tune"
CHECKPOINT, STATE = "model.pt", "state.pt"
MOST_BYTES_OF_KEY = MOST_BYTES - 32  # while it is written, its folder has a longer name


@dataclass(frozen=True)
class Run:
    """A trained classifier of a dataset.

    Attributes:
        key: the name of the run on its dataset
        dataset_name: the dataset
        classes: class names, in the order of all score vectors
        recipe: every choice of the training (see `fiftyone_gradcam.model.recipe.Recipe`)
        history: one dictionary per epoch: epoch, train_loss, train_accuracy, val_loss,
            val_accuracy, learning_rate, seconds; epoch 0 is the training of new layers alone
        best_epoch: the epoch whose weights were kept
        label_field: the field that it was trained to predict
        checkpoint: path of the file of weights
        watch: of a run that watched samples: their "ids", and the paths of "maps" (an .npz file
            with ids, labels, maps (epochs, N, h, w), scores (epochs, N) of the own label, and
            predicted) and of "strip" (a picture of how the focus moved); None of others
        validations: one dictionary per look at the watched images: iteration, epoch, val_loss,
            val_accuracy, learning_rate, seconds
        findings: what is to be said of the training, each with name, severity and message
        curves: path of a picture of the losses and accuracies; None if there is none
        val_accuracy: of the kept weights on the watched images; None if none were watched
        val_images: how many were watched; None of runs of earlier versions
        trained: when it was recorded, in UTC and ISO 8601; None of one that was not yet
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
    validations: list[dict] = field(default_factory=list)
    findings: list[dict] = field(default_factory=list)
    curves: str | None = None
    val_accuracy: float | None = None
    val_images: int | None = None
    trained: str | None = None

    @property
    def version(self) -> str | None:
        """Tells it from others that have had its key."""
        return self.trained

    @property
    def layer(self) -> str:
        """Where Grad-CAM takes the target tensor, unless told otherwise."""
        from ..model.backbones import get_backbone

        return get_backbone(self.recipe["backbone"]).family.layer

    def load_model(self) -> nn.Module:
        """The torch module in eval mode, on the CPU.

        Raises:
            FileNotFoundError, ValueError: if the checkpoint is gone or damaged
        """
        from ..model.checkpoint import load_checkpoint

        return load_checkpoint(self.checkpoint)[0]

    def as_fiftyone_model(self, device: str | None = None) -> RunModel:
        """This classifier for `dataset.apply_model(model, label_field=...)` (see `RunModel`).

        Args:
            device: such as "cpu" or "cuda"; None takes the best at hand

        Raises:
            FileNotFoundError, ValueError: if the checkpoint is gone or damaged
        """
        from .apply import RunModel

        return RunModel(self, device)

    def __str__(self) -> str:
        accuracy = "" if self.val_accuracy is None else f", val accuracy {self.val_accuracy:.3f}"
        done, planned = sum(row["epoch"] > 0 for row in self.history), self.recipe["epochs"]
        epochs = f"{done}" if done == planned else f"{done} of {planned}"
        return (
            f"run {self.key!r}: {self.recipe['backbone']}, {len(self.classes)} classes, "
            f"{epochs} epochs (best {self.best_epoch or '0, the new layers alone'}){accuracy}"
        )


class Pretrained(Run):
    """A backbone with its ImageNet classes, as it comes: a `Run` that was never trained here.

    `checkpoint` holds its `weights`: "imagenet", or the path of a file.
    """

    @property
    def version(self) -> str:
        """Tells it from the same backbone with other weights, or that sees images otherwise."""
        return f"{self.checkpoint}, {self.recipe['resize']}"

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
    check_name(key, "A run", MOST_BYTES_OF_KEY)
    alike = [own for own in list_runs(dataset) if own != key and same(own) == same(key)]
    if alike:
        raise ValueError(
            f"Run {alike[0]!r} exists on {dataset.name!r}, and {key!r} would have the same folder "
            f"where case makes no difference. Choose another key"
        )
    if not has_run(dataset, key):
        return
    if dataset.get_run_info(key).config.method != METHOD:
        raise ValueError(f"Run {key!r} of {dataset.name!r} is not a training. Choose another key")
    if not overwrite:
        raise ValueError(
            f"Run {key!r} exists already on {dataset.name!r}. Choose another key, or pass "
            f"overwrite=True to replace it"
        )


def save_run(dataset: fo.Dataset, run: Run) -> Run:
    """Record a run whose checkpoint is written already, and return what is recorded.

    A run of the same key is replaced once the new one is recorded: if that fails, it stays.
    """
    replaces = run.key in dataset.list_runs()
    key = free_key(dataset, f"{run.key}_new") if replaces else run.key
    config = dataset.init_run(
        method=METHOD,
        classes=run.classes,
        recipe=run.recipe,
        best_epoch=run.best_epoch,
        label_field=run.label_field,
        checkpoint=run.checkpoint,
        watch=run.watch,
        findings=run.findings,
        curves=run.curves,
        val_accuracy=run.val_accuracy,
        val_images=run.val_images,
    )
    try:
        dataset.register_run(key, config)
        results = dataset.init_run_results(
            key, history=run.history, validations=run.validations, findings=run.findings
        )
        dataset.save_run_results(key, results)
        if replaces:
            dataset.delete_run(run.key)
    except BaseException:
        left = dataset.list_runs()
        if key in left and (run.key in left or not replaces):
            dataset.delete_run(key)
        raise
    if replaces:
        dataset.rename_run(key, run.key)
    return load_run(dataset, run.key)


def update_paths(dataset: fo.Dataset, run: Run) -> None:
    """Record where the files of a run are now."""
    config = dataset.get_run_info(run.key).config
    config.checkpoint, config.curves, config.watch = run.checkpoint, run.curves, run.watch
    dataset.update_run_config(run.key, config)


def load_run(samples: fo.core.collections.SampleCollection, key: str | Run) -> Run:
    """Look a run up by its key.

    Raises:
        ValueError: if the dataset has no such training; the message lists those it has
    """
    if isinstance(key, Run):
        return key
    dataset = root_dataset(samples)
    if not has_run(dataset, key) or key not in list_runs(dataset):
        if can_resume(dataset, str(key)):
            raise ValueError(
                f"The training {key!r} of {dataset.name!r} was interrupted, and is no run yet: "
                f"fine_tune(..., {key!r}, resume=True) goes on with it"
            )
        raise ValueError(
            f"{dataset.name!r} has no training run {key!r}. "
            f"Its runs: {', '.join(list_runs(dataset)) or 'none yet; call fine_tune() first'}"
        )
    try:
        info, results = _read_run(dataset, key)
    except AttributeError:  # what is known here is of a run that another process has replaced
        dataset.reload()
        info, results = _read_run(dataset, key)
    config = info.config
    return Run(  # runs of earlier versions have less
        key=key,
        dataset_name=dataset.name,
        classes=list(config.classes),
        recipe=dict(config.recipe),
        history=list(results.history),
        best_epoch=config.best_epoch,
        label_field=config.label_field,
        checkpoint=config.checkpoint,
        watch=getattr(config, "watch", None),
        validations=list(getattr(results, "validations", ())),
        findings=list(getattr(config, "findings", ())),
        curves=getattr(config, "curves", None),
        val_accuracy=getattr(config, "val_accuracy", None),
        val_images=getattr(config, "val_images", None),
        trained=info.timestamp.isoformat(timespec="milliseconds"),
    )


def _read_run(dataset: fo.Dataset, key: str) -> tuple:
    """What is recorded of a run; read anew, for another process may have written it."""
    return dataset.get_run_info(key), dataset.load_run_results(key, cache=False)


def can_resume(samples: fo.core.collections.SampleCollection, key: str) -> bool:
    """Whether a training has left what is needed to go on with it."""
    if not key.isidentifier():  # no run is called so, and it is to be part of a path
        return False
    return os.path.isfile(os.path.join(run_folder(root_dataset(samples), key), STATE))


def list_runs(samples: fo.core.collections.SampleCollection) -> list[str]:
    """Keys of the trainings of a dataset, in the order in which they were made."""
    dataset = root_dataset(samples)
    keys = dataset.list_runs(method=METHOD)
    return sorted(keys, key=lambda key: dataset.get_run_info(key).timestamp)


def has_run(dataset: fo.Dataset, key: str) -> bool:
    """Whether a dataset has a run, of any kind, of a key; another process may have made it."""
    if key not in dataset.list_runs():
        dataset.reload()
    return key in dataset.list_runs()


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
