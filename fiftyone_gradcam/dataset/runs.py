"""Training runs: recorded on the dataset as FiftyOne custom runs, with a checkpoint on disk."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import fiftyone as fo
from fiftyone.core.odm import get_db_conn
from mongoengine.errors import DoesNotExist

from ..folders.path_names import check_name, same
from ..similar import did_you_mean
from . import files
from .fields import MOST_BYTES, root_dataset
from .files import run_folder
from .references import METHOD, config_paths, version_of

if TYPE_CHECKING:
    from torch import nn

    from ..model.network import Network
    from .apply import RunModel

CHECKPOINT, STATE = "model.pt", "state.pt"
MOST_ROWS = 20_000  # a record of the database has at most 16 MB; results have more


@dataclass(frozen=True)
class Run:
    """A trained classifier of a dataset.

    Attributes:
        key: the name of the run on its dataset
        dataset_name: the dataset
        classes: class names, in the order of all score vectors
        recipe: every choice of the training (see `fiftyone_gradcam.training.recipe.Recipe`)
        history: one dictionary per epoch: epoch, train_loss, train_accuracy, val_loss,
            val_accuracy, learning_rate, seconds; epoch 0 is the training of new layers alone
        best_epoch: the epoch whose weights were kept
        label_field: the field that it was trained to predict
        checkpoint: path of the file of weights
        watch: of a run that watched samples: their "ids", and the paths of "maps" (an .npz file
            with ids, labels, maps (epochs, N, h, w), scores (epochs, N) of the own label, and
            predicted) and of "strip" (a picture of how the focus moved); None of others
        validations: one dictionary per validation: iteration, epoch, val_loss,
            val_accuracy, learning_rate, seconds
        findings: what is to be said of the training, each with name, severity and message
        curves: path of a picture of the losses and accuracies; None if there is none
        val_accuracy: of the kept weights on the validation images; None if there were none
        val_images: how many there were; None of runs of earlier versions
        measured: what tells the samples, and their labels, on which val_accuracy was measured from
            others (see `fiftyone_gradcam.dataset.measured`); None of what is unknown
        temperature: by which logits are divided to make probabilities that can be believed, as
            `evaluate` has fitted it; None if it was not asked to
        basis: digests of the "split" and the "labels" that it was trained with (see
            `fiftyone_gradcam.dataset.basis`); None of what is unknown
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
    measured: dict | None = None
    temperature: float | None = None
    basis: dict | None = None

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

    def network(self, device: str | None = None, layer: str | None = None) -> Network:
        """This classifier on a device, ready for use.

        Args:
            device: such as "cpu" or "cuda"; None takes the best at hand
            layer: where the target tensor is taken; None takes the backbone's

        Raises:
            FileNotFoundError, ValueError: if the checkpoint is gone or damaged, or if there is no
                such layer or device
        """
        from ..model.backbones import get_backbone
        from ..model.network import Network

        return Network.of_backbone(
            get_backbone(self.recipe["backbone"]),
            self.load_model(),
            self.classes,
            self.recipe["image_size"],
            self.recipe.get("resize", "squash"),
            device,
            layer,
        )

    def as_fiftyone_model(self, device: str | None = None) -> RunModel:
        """This classifier for `dataset.apply_model(model, label_field=...)` and
        `dataset.compute_embeddings(model, embeddings_field=...)` (see `RunModel`).

        Args:
            device: such as "cpu" or "cuda"; None takes the best at hand

        Raises:
            FileNotFoundError, ValueError: if the checkpoint is gone or damaged
        """
        from ..images.decode import DEFAULT
        from .apply import RunModel
        from .import_record import decode_options

        name = self.dataset_name
        options = decode_options(fo.load_dataset(name)) if fo.dataset_exists(name) else DEFAULT
        return RunModel(self.network(device), options)

    def __str__(self) -> str:
        if not self.history:
            what = f"{self.recipe['backbone']}, {len(self.classes)} classes"
            return f"run {self.key!r}: {what}, weights from a file"
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
    from ..model.weights import imagenet_classes
    from ..training.recipe import Recipe

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
    if len(os.fsencode(key)) > MOST_BYTES:
        raise ValueError(
            f"{key[:40] + '…'!r} is too long for a run key, which names a folder too and may have "
            f"{MOST_BYTES} bytes. Choose a shorter one"
        )
    check_name(key, "A run")
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
    """Record a run whose files are written already, and return what is recorded.

    A record of the same key is replaced in one write of the database: whatever happens, there is
    the one run or the other. Its files, which must be others than those of the new run (see
    `new_folder`), are left to `remove_others`.
    """
    files.claim_folder(dataset)
    trained = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    rows = {"history": run.history, "validations": run.validations}
    is_small = len(run.history) + len(run.validations) <= MOST_ROWS
    config = dataset.init_run(
        method=METHOD,
        classes=run.classes,
        recipe=run.recipe,
        **(rows if is_small else {}),
        best_epoch=run.best_epoch,
        label_field=run.label_field,
        checkpoint=run.checkpoint,
        watch=run.watch,
        findings=run.findings,
        curves=run.curves,
        val_accuracy=run.val_accuracy,
        val_images=run.val_images,
        measured=run.measured,
        basis=run.basis,
        trained=trained,
    )
    before = _read_info(dataset, run.key).config if has_run(dataset, run.key) else None
    try:
        if before is not None:
            dataset.update_run_config(run.key, config)
        else:
            dataset.register_run(run.key, config)
        # The results repeat what the record says, for whoever reads them with FiftyOne alone.
        results = dataset.init_run_results(run.key, **rows, findings=run.findings)
        # Results that replace others count as unchanged once the record was read again.
        dataset._doc.runs[run.key]._mark_as_changed("results")
        dataset.save_run_results(run.key, results)
    except BaseException:
        if before is not None:
            dataset.update_run_config(run.key, before)
        elif run.key in dataset.list_runs():
            dataset.delete_run(run.key)
        raise
    return load_run(dataset, run.key)


def update_paths(dataset: fo.Dataset, run: Run, renamed_from: str | None = None) -> None:
    """Record where the files of a run are now, in one write.

    Args:
        dataset, run: the run, under the key that it has at present
        renamed_from: its key, if it is to get another one now: see `renamed_from`
    """
    config = _read_info(dataset, run.key).config
    config.checkpoint, config.curves, config.watch = run.checkpoint, run.curves, run.watch
    config.renamed_from = renamed_from
    dataset.update_run_config(run.key, config)


def keep_temperature(dataset: fo.Dataset, key: str, temperature: float) -> None:
    """Record the temperature of a run, in one write."""
    config = _read_info(dataset, key).config
    config.temperature = temperature
    dataset.update_run_config(key, config)


def renamed_from(dataset: fo.Dataset, key: str) -> str | None:
    """The key that a run had before a renaming that was cut short; None of all others."""
    if not has_run(dataset, key):
        return None
    return getattr(_read_info(dataset, key).config, "renamed_from", None)


def load_run(
    samples: fo.core.collections.SampleCollection, key: str | Run, others: Iterable[str] = ()
) -> Run:
    """Look a run up by its key.

    Args:
        samples: a dataset or view
        key: of the run; a run is returned as it is
        others: names beside the keys of runs that may have been meant, for the message

    Raises:
        ValueError: if the dataset has no such training; the message names the most similar, and
            lists those it has
    """
    if isinstance(key, Run):
        return key
    dataset = root_dataset(samples)
    if not _is_training(dataset, key):
        if can_resume(dataset, str(key)):
            raise ValueError(
                f"The training {key!r} of {dataset.name!r} was interrupted, and is no run yet: "
                f"fine_tune(..., {key!r}, resume=True) goes on with it"
            )
        raise ValueError(
            f"{dataset.name!r} has no training run {key!r}. "
            f"{did_you_mean(key, [*list_runs(dataset), *others])}"
            f"Its runs: {', '.join(list_runs(dataset)) or 'none yet; call fine_tune() first'}"
        )
    try:
        run = _recorded(dataset, key)
        str(run)  # all that is shown of it
    except Exception as error:
        raise ValueError(
            f"The record of run {key!r} of {dataset.name!r} is damaged ({error!r}). "
            f"delete_run() removes it"
        ) from error
    return run


def _is_training(dataset: fo.Dataset, key: str) -> bool:
    """Whether there is a run of a key, and it is of this plugin."""
    if not isinstance(key, str) or not has_run(dataset, key):
        return False
    try:
        return dataset.get_run_info(key).config.method == METHOD
    except Exception:  # of another kind, that this FiftyOne cannot read
        return False


def _recorded(dataset: fo.Dataset, key: str) -> Run:
    info = _read_info(dataset, key)
    config = rows = info.config
    if not hasattr(config, "history"):  # of an earlier version, or too many for the record
        rows = dataset.load_run_results(key, cache=False)
    return Run(  # runs of earlier versions have less
        key=key,
        dataset_name=dataset.name,
        classes=list(config.classes),
        recipe=dict(config.recipe),
        history=list(rows.history),
        best_epoch=config.best_epoch,
        label_field=config.label_field,
        checkpoint=config.checkpoint,
        watch=getattr(config, "watch", None),
        validations=list(getattr(rows, "validations", ())),
        findings=list(getattr(config, "findings", ())),
        curves=getattr(config, "curves", None),
        val_accuracy=getattr(config, "val_accuracy", None),
        val_images=getattr(config, "val_images", None),
        trained=_when(info),
        measured=getattr(config, "measured", None),
        temperature=getattr(config, "temperature", None),
        basis=getattr(config, "basis", None),
    )


def _read_info(dataset: fo.Dataset, key: str) -> fo.core.runs.RunInfo:
    """What is recorded of a run now: another process may have replaced it, or moved its files."""
    try:
        dataset._doc.runs[key].reload()
    except DoesNotExist:
        dataset.reload()
    return dataset.get_run_info(key)


def can_resume(samples: fo.core.collections.SampleCollection, key: str) -> bool:
    """Whether a training has left what is needed to go on with it."""
    if not key.isidentifier():  # no run is called so, and it is to be part of a path
        return False
    return os.path.isfile(os.path.join(run_folder(root_dataset(samples), key), STATE))


def list_runs(samples: fo.core.collections.SampleCollection) -> list[str]:
    """Keys of the trainings of a dataset, in the order in which they were made."""
    dataset = root_dataset(samples)
    keys = dataset.list_runs(method=METHOD)
    return sorted(keys, key=lambda key: _when(dataset.get_run_info(key)))


def trained_at(dataset: fo.Dataset, key: str) -> str:
    """When a run of a dataset was recorded, which is its version: see `Run.trained`."""
    return _when(dataset.get_run_info(key))


def _when(info: fo.core.runs.RunInfo) -> str:
    """When a run was recorded; a clone of a dataset has its runs since the same time."""
    return version_of(getattr(info.config, "trained", None), info.timestamp)


def has_run(dataset: fo.Dataset, key: str) -> bool:
    """Whether a dataset has a run, of any kind, of a key; another process may have made it."""
    if key in dataset.list_runs():
        return True
    record = get_db_conn().datasets.find_one({"_id": dataset._doc.id}, {"runs": 1})
    if record is None or key not in (record.get("runs") or {}):
        return False
    dataset.reload()  # which takes FiftyOne a while
    return key in dataset.list_runs()


def free_key(dataset: fo.Dataset, name: str) -> str:
    """A key for a new run: the name, with a number behind it if it is taken."""
    taken, key, number = set(dataset.list_runs()), name, 1
    while key in taken:
        number += 1
        key = f"{name}_{number}"
    return key


def checkpoint_path(dataset: fo.Dataset, key: str) -> str:
    """Where the checkpoint of a run that replaces none is written."""
    return os.path.join(run_folder(dataset, key), CHECKPOINT)


def new_folder(dataset: fo.Dataset, key: str) -> str:
    """A folder for the files of a new run, where it overwrites none: until the new run is recorded
    the old one is good, and clones of the dataset may go on showing it."""
    folder = run_folder(dataset, key)
    is_free = not os.path.exists(os.path.join(folder, CHECKPOINT))
    return folder if is_free else os.path.join(folder, uuid.uuid4().hex[:8])


def prepare_folder(dataset: fo.Dataset, key: str) -> None:
    """Note whose the folder of a dataset is, and delete what a killed training of this key left,
    but for its state."""
    files.claim_folder(dataset)
    remove_others(dataset, key)


def paths_of(dataset: fo.Dataset, key: str) -> list[str]:
    """Paths of the files that the record of a run names; none if there is no such training."""
    if not has_run(dataset, key):
        return []
    config = _read_info(dataset, key).config
    return list(config_paths(vars(config))) if config.method == METHOD else []


def remove_others(
    dataset: fo.Dataset, key: str, replaced: Iterable[str] = (), keep_state: bool = True
) -> None:
    """Delete what is in the folder of a run and of no use: files of a run that it replaced, and
    what a process that was killed has left.

    Args:
        dataset, key: of the run, or of a training that is no run yet
        replaced: paths of the files of the run that it replaced
        keep_state: keep what is needed to go on with the training
    """
    files.remove_run_files(dataset, key, replaced, [STATE] if keep_state else [])
