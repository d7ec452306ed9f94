"""What a training reports: a row for each epoch, and one for each validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
from torch import nn


@dataclass(frozen=True)
class Epoch:
    """An epoch: means over its images; None without validation images.

    Epoch 0 is the training of the new layers alone (`Recipe.head_epochs`): its training loss and
    accuracy are those of the last pass, without augmentation.

    Attributes:
        epoch: number, from 1
        train_loss, train_accuracy: over the images as they were augmented
        val_loss, val_accuracy: of the last validation in it
        learning_rate: of the backbone, in its first step; 0 in epoch 0
        seconds: with validation
        images_per_second: training images, without validation
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    seconds: float
    images_per_second: float

    def to_dict(self) -> dict:
        """A JSON-ready dictionary."""
        return asdict(self)

    def __str__(self) -> str:
        text = f"epoch {self.epoch}: " if self.epoch else "new layers: "
        text += f"train loss {self.train_loss:.3f}, accuracy {self.train_accuracy:.3f}"
        if self.val_loss is not None:
            text += f"; val loss {self.val_loss:.3f}, accuracy {self.val_accuracy:.3f}"
        return f"{text} ({self.seconds:.0f} s)"


@dataclass(frozen=True)
class Validation:
    """A look at the validation images.

    Attributes:
        iteration: steps done before it; 0 after the new layers alone
        epoch: in which epoch
        train_loss, train_accuracy: over the training images of the epoch so far
        val_loss, val_accuracy: means over the validation images
        learning_rate: of the backbone at that step
        seconds: since the training began, pauses left out
        images_per_second: training images of the epoch so far, without validation
    """

    iteration: int
    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float
    images_per_second: float

    def to_dict(self) -> dict:
        """A JSON-ready dictionary."""
        return asdict(self)


@dataclass
class Trained:
    """What came out of a training.

    Attributes:
        model: in eval mode, with the weights of the best validation
        history: a row for each epoch
        validations: a row for each validation
        best_epoch: the epoch of the best validation; the last one without validation images
        val_accuracy: of the best validation; None without validation images
        val_positions, val_predicted: the validation images and their predicted classes, by the best
            weights
        dead: share of the validation (or else training) images whose logits are all exactly 0
        head_change: how far the new layers moved from where they began, relative to their size
        diverged: whether the loss was no longer finite
        cancelled: whether `Hooks` ended it
        features: of training and validation images, averaged over cells, by the weights that the
            training began with, and their positions; None if none were computed
    """

    model: nn.Module
    history: list[Epoch]
    validations: list[Validation]
    best_epoch: int
    val_accuracy: float | None
    val_positions: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    val_predicted: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    dead: float = 0.0
    head_change: float = 0.0
    diverged: bool = False
    cancelled: bool = False
    features: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None


@dataclass(frozen=True)
class Hooks:
    """What a training calls.

    Attributes:
        on_step: after each batch: images done, images in all, the epoch that just ended or None;
            it may raise `CancelledError`
        on_epoch: after each epoch, with the network as it is kept, and the epoch's number; it must
            leave the network as it is
        on_state: after each epoch, with all that `train` needs to resume from there
        on_rows: after each epoch, each validation, and about once a second between them: rows of
            epochs and of validations so far, and of the current epoch its "epoch" (2.25
            is a quarter into the third), "train_loss" and "train_accuracy" so far, or None
        on_note: at the start, with a sentence about each thing in a weights file that is left out
    """

    on_step: Callable[[int, int, Epoch | None], None] = lambda *_: None
    on_epoch: Callable[[nn.Module, int], None] = lambda *_: None
    on_state: Callable[[dict], None] | None = None
    on_rows: Callable[[list[Epoch], list[Validation], dict | None], None] | None = None
    on_note: Callable[[str], None] | None = None
