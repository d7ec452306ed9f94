"""Training runs, and pretrained backbones in the form of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import fiftyone as fo

from ..training.curves import kept_words

if TYPE_CHECKING:
    from torch import nn

    from ..model.network import Network
    from .apply import RunModel

CURRENT, BEFORE_REVIEW = "current", "before_review"  # the labels that a training can use


@dataclass(frozen=True)
class Run:
    """A trained classifier, recorded on a dataset.

    Attributes:
        key: key of the run on its dataset
        dataset_name: name of the dataset
        classes: class names, in the order of all score vectors
        recipe: all options of the training (see `fiftyone_gradcam.training.recipe.Recipe`)
        history: one dictionary per epoch: epoch, train_loss, train_accuracy, val_loss,
            val_accuracy, learning_rate, seconds; epoch 0 is the training of the new layers only
        best_epoch: the epoch whose weights were kept
        label_field: field that the run was trained to predict
        checkpoint: path of the checkpoint file
        watch: if heatmaps of some samples were saved at each epoch: the "ids" of these samples, and
            the paths of "maps" (an .npz file with ids, labels, maps (epochs, N, h, w), scores
            (epochs, N) of the label, and predicted) and "strip" (a picture of how the heatmaps
            changed); otherwise None
        validations: one dictionary per validation: iteration, epoch, val_loss, val_accuracy,
            learning_rate, seconds
        findings: warnings and errors about the training, each with name, severity and message
        curves: path of a plot of losses and accuracies; None if there is none
        val_accuracy: accuracy of the kept weights on the validation images; None if there were none
        val_images: number of validation images; None for runs of earlier versions
        measured: identifies the samples and labels that val_accuracy was measured on (see
            `fiftyone_gradcam.dataset.measured`); None if unknown
        temperature: divisor of the logits for calibrated probabilities, fitted by `evaluate`; None
            if it was not fitted
        basis: digests of the "split" and the "labels" that were used for training, and the time
            "at" which they were read (see `fiftyone_gradcam.dataset.basis`); None if unknown
        canceled: whether the training was canceled before its end; None for runs of earlier
            versions
        labels: "current" if the run was trained on the labels of its time, "before_review" if it
            was trained on the labels before reviews changed them, to measure their effect
        trained: time when the run was recorded, in UTC and ISO 8601; None if it is not recorded yet
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
    canceled: bool | None = None
    labels: str = CURRENT

    @property
    def version(self) -> str | None:
        """A value that differs between runs that had the same key at different times."""
        return self.trained

    @property
    def learned_at(self) -> str | None:
        """When the labels for its training were read, which may be long before it was recorded."""
        return (self.basis or {}).get("at") or self.trained

    @property
    def epochs(self) -> tuple[int, int]:
        """The number of epochs that ran, and the number that were planned."""
        return sum(row["epoch"] > 0 for row in self.history), self.recipe["epochs"]

    @property
    def epoch_words(self) -> str:
        """The number of epochs, such as "17 epochs", or "3 of 17 epochs" if some did not run."""
        done, planned = self.epochs
        words = f"{done}" if done == planned else f"{done} of {planned}"
        return f"{words} {'epoch' if words == '1' else 'epochs'}"

    @property
    def layer(self) -> str:
        """The default target layer of Grad-CAM."""
        from ..model.backbones import get_backbone

        return get_backbone(self.recipe["backbone"]).family.layer

    def load_model(self) -> nn.Module:
        """Load the torch module in eval mode, on the CPU.

        Raises:
            FileNotFoundError, ValueError: if the checkpoint does not exist or is damaged
        """
        from ..model.checkpoint import load_checkpoint

        return load_checkpoint(self.checkpoint)[0]

    def network(self, device: str | None = None, layer: str | None = None) -> Network:
        """Load this classifier as a `Network` on a device.

        Args:
            device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
            layer: target layer of Grad-CAM; by default (None), that of the backbone

        Raises:
            FileNotFoundError, ValueError: if the checkpoint does not exist or is damaged, or if
                there is no such layer or device
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
        """Return this classifier as a FiftyOne model (see `RunModel`).

        Use it with `dataset.apply_model(model, label_field=...)` or
        `dataset.compute_embeddings(model, embeddings_field=...)`.

        Args:
            device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one

        Raises:
            FileNotFoundError, ValueError: if the checkpoint does not exist or is damaged
        """
        from ..images.decode import DEFAULT
        from .apply import RunModel
        from .import_record import decode_options

        name = self.dataset_name
        options = decode_options(fo.load_dataset(name)) if fo.dataset_exists(name) else DEFAULT
        return RunModel(self.network(device), options)

    @property
    def advice(self) -> str:
        """What the training shows about the recipe, in words; "" if nothing."""
        if self.best_epoch != 0 or not self.epochs[0]:  # canceled before it trained other layers
            return ""
        return (
            "The weights before the first epoch, when only the new layers had been trained, were "
            "best on val: training the other layers did not help. The recipe 'linear-probe' may be "
            "as good in a fraction of the time"
        )

    def __str__(self) -> str:
        if not self.history:
            what = f"{self.recipe['backbone']}, {len(self.classes)} classes"
            return f"run {self.key!r}: {what}, weights from a file"
        accuracy = "" if self.val_accuracy is None else f", val accuracy {self.val_accuracy:.1%}"
        return (
            f"run {self.key!r}: {self.recipe['backbone']}, {len(self.classes)} classes, "
            f"{self.epoch_words} (best: {kept_words(self.best_epoch)}){accuracy}"
        )


class Pretrained(Run):
    """A pretrained backbone with its ImageNet classes, as a `Run` that was not trained here.

    Its `checkpoint` is "imagenet" or the path of a file of weights.
    """

    @property
    def version(self) -> str:
        """Distinguishes it from the same backbone with other weights or another resize."""
        return f"{self.checkpoint}, {self.recipe['resize']}"

    def load_model(self) -> nn.Module:
        """Load the torch module, in eval mode and on the CPU.

        Raises:
            ValueError, FileNotFoundError, ConnectionError: if the weights cannot be loaded
        """
        from ..model.weights import create_pretrained

        return create_pretrained(self.recipe["backbone"], self.checkpoint)

    def network(self, device: str | None = None, layer: str | None = None) -> Network:
        """See `Run.network`."""
        from ..model.digests import note_digest

        network = super().network(device, layer)
        if layer is None:
            note_digest(network, self.recipe["backbone"], self.checkpoint)
        return network

    def __str__(self) -> str:
        return f"{self.recipe['backbone']} with its {len(self.classes)} ImageNet classes"


def pretrained(dataset: fo.Dataset, backbone: str, weights: str, resize: str) -> Pretrained:
    """Return a pretrained backbone as a run of a dataset, for prediction only.

    Raises:
        ValueError: if there is no such backbone, or if it has no ImageNet weights
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
