"""Results of a training: a row for each epoch, and one for each validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
from torch import nn


@dataclass(frozen=True)
class Epoch:
    """Results of an epoch: means over its images; None without validation images.

    Epoch 0 is the training of the new layers alone (`Recipe.head_epochs`); its training loss and
    accuracy are those of the last pass, without augmentation.

    Attributes:
        epoch: number, from 1
        train_loss, train_accuracy: over the training images, as augmented
        val_loss, val_accuracy: of the last validation in the epoch
        learning_rate: of the backbone, in the first step; 0 in epoch 0
        seconds: duration, including validation
        images_per_second: training images per second, without validation
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
        """Return a JSON-ready dictionary."""
        return asdict(self)

    def __str__(self) -> str:
        text = f"epoch {self.epoch}: " if self.epoch else "new layers: "
        text += f"train loss {self.train_loss:.3f}, accuracy {self.train_accuracy:.1%}"
        if self.val_loss is not None:
            text += f"; val loss {self.val_loss:.3f}, accuracy {self.val_accuracy:.1%}"
        return f"{text} ({self.seconds:.0f} s)"


@dataclass(frozen=True)
class Validation:
    """Results of a validation.

    Attributes:
        iteration: number of steps done before it; 0 after training the new layers alone
        epoch: the epoch it belongs to
        train_loss, train_accuracy: over the training images of the epoch so far
        val_loss, val_accuracy: means over the validation images
        learning_rate: of the backbone at that step
        seconds: time since the training started, without breaks
        images_per_second: training images per second of the epoch so far, without validation
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
        """Return a JSON-ready dictionary."""
        return asdict(self)


@dataclass
class Trained:
    """Result of a training.

    Attributes:
        model: the network in eval mode, with the weights of the best validation
        history: a row for each epoch
        validations: a row for each validation
        best_epoch: the epoch of the best validation; the last epoch without validation images
        val_accuracy: of the best validation; None without validation images
        val_positions, val_predicted: positions of the validation images, and their predicted
            classes with the best weights
        dead: share of the validation (or else training) images whose logits are all exactly 0
        head_change: how far the new layers moved from their initial weights, relative to their norm
        diverged: whether the loss became infinite or NaN
        cancelled: whether `Hooks` canceled the training
        features: of training and validation images, each as features (n, C) averaged over cells,
            with the initial weights, and positions (n,); None if none were computed
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
    """Callbacks of a training.

    Attributes:
        on_step: called after each batch with the work done, the work in all (see `work_of`) and the
            epoch that just ended, or None; it may raise `CancelledError`
        on_epoch: called after each epoch with the network that is kept and the number of the epoch;
            it must not modify the network
        on_state: called after each epoch with the state that `train` needs to resume
        on_rows: called after each epoch, after each validation, and about once a second in between:
            with the rows of epochs and of validations so far, and for the current epoch its "epoch"
            (2.25 is a quarter into the third), "train_loss" and "train_accuracy" so far, or None
        on_note: called at the start with a sentence for each item of a weights file that is not
            used
        on_stage: called with a few words when a step of the training starts
    """

    on_step: Callable[[int, int, Epoch | None], None] = lambda *_: None
    on_epoch: Callable[[nn.Module, int], None] = lambda *_: None
    on_state: Callable[[dict], None] | None = None
    on_rows: Callable[[list[Epoch], list[Validation], dict | None], None] | None = None
    on_note: Callable[[str], None] | None = None
    on_stage: Callable[[str], None] = lambda stage: None
