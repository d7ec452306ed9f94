"""The network being trained: its weights and optimizer, training steps, and evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..model.backbones import get_backbone
from ..model.weights import create_model
from ..passes.seen import Seen
from ..passes.sinks import Sink
from .dropout import quicken_dropout
from .freezing import Freezer
from .optimization import Average, class_weights, make_optimizer, set_rates
from .recipe import Recipe
from .sources import Batch, Features, Pictures, read_features

PENDING = 1024  # maximum number of batches whose results stay on the device
STATISTICS_STEPS = 10  # then batch norm uses a running mean with the usual momentum of 0.1


class Sums:
    """Loss and accuracy of an epoch.

    The numbers stay on the device until they are read, because reading synchronizes a GPU. They are
    summed in float64 on the CPU, because Apple's GPUs do not support float64.
    """

    def __init__(self):
        self._pending: list[torch.Tensor] = []  # (3,) float32 each, on the device
        self._sizes: list[int] = []
        self._loss = self._right = self._dead = 0.0
        self._count = 0

    def add(self, logits: torch.Tensor, labels: torch.Tensor, loss: torch.Tensor) -> None:
        """Add a batch: logits (n, K), labels (n,) and the mean loss."""
        right = (logits.argmax(1) == labels).sum()
        dead = (logits == 0).all(1).sum()
        self._pending.append(torch.stack([loss.detach().float(), right.float(), dead.float()]))
        self._sizes.append(len(labels))
        if len(self._pending) == PENDING:
            self._add_up()

    def _add_up(self) -> None:
        if not self._pending:
            return
        rows = torch.stack(self._pending).tolist()
        for size, (loss, right, dead) in zip(self._sizes, rows, strict=True):
            self._loss += loss * size
            self._right += right
            self._dead += dead
            self._count += size
        self._pending, self._sizes = [], []

    def read(self) -> tuple[float, float, int]:
        """Return the mean loss, the accuracy, and the number of images."""
        self._add_up()
        count = max(self._count, 1)
        return self._loss / count, self._right / count, self._count

    @property
    def dead(self) -> float:
        """Share of the images whose logits are all exactly 0."""
        self._add_up()
        return self._dead / max(self._count, 1)

    @property
    def is_finite(self) -> bool:
        """Whether the loss has been finite so far."""
        self._add_up()
        return math.isfinite(self._loss)


@dataclass(frozen=True)
class Evaluation:
    """Predictions of a network for some images.

    Attributes:
        loss, accuracy: means over the images
        positions, predicted: (n,) positions of the images, and their predicted classes
        dead: share of the images whose logits are all exactly 0
    """

    loss: float
    accuracy: float
    positions: np.ndarray
    predicted: np.ndarray
    dead: float


class _Logits(Sink):
    """Pass the logits and labels of the images of a pass on, in order."""

    def __init__(self, learner: Learner, reader: nn.Module, labels: np.ndarray, add: Callable):
        self.learner, self.reader = learner, reader
        self.labels, self.add = labels, add

    @torch.no_grad()
    def compute(self, seen: Seen) -> torch.Tensor:
        """See `Sink`."""
        return self.learner.logits(self.reader, seen.inputs)

    def take(self, positions: np.ndarray, value: torch.Tensor) -> None:
        """See `Sink`."""
        self.add(positions, value, torch.from_numpy(self.labels[positions]))


class Learner:
    """A network with its optimizer and everything else that a recipe needs for training.

    Args:
        recipe: the settings
        num_classes: number of classes K
        device: the device of the network
        labels: (n,) class indexes of the training images, for class weights
        warn: see `create_model`

    Raises:
        ValueError, FileNotFoundError, ConnectionError: see `create_model` and `Freezer`
    """

    def __init__(
        self,
        recipe: Recipe,
        num_classes: int,
        device: torch.device,
        labels: np.ndarray,
        warn: Callable[[str], None] | None = None,
    ):
        self.recipe, self.device = recipe, device
        self.backbone = get_backbone(recipe.backbone)
        model = create_model(
            recipe.backbone, num_classes, recipe.weights, recipe.hidden, recipe.dropout, warn
        )
        quicken_dropout(model)
        self.model = model.to(device, memory_format=torch.channels_last)
        self.freezer = Freezer(self.model, self.backbone, recipe)
        last = self.backbone.family.last_layer + "."
        named = list(self.model.named_parameters())
        self.new = [weight for name, weight in named if name.startswith(last)]
        old = [weight for name, weight in named if not name.startswith(last)]
        self.optimizer = make_optimizer(recipe, old, self.new)
        self.head_start = [weight.detach().clone() for weight in self.new]
        self.average = Average(self.model, recipe.ema) if recipe.ema else None
        self.loss_weights = None
        if recipe.class_balance == "weights":
            weights = class_weights(labels, num_classes)
            self.loss_weights = torch.from_numpy(weights).to(device)
        self.norms = [m for m in self.model.modules() if isinstance(m, _BatchNorm)]
        self.mixed = recipe.mixed_precision
        if self.mixed is None:
            self.mixed = device.type == "cuda" and torch.cuda.is_bf16_supported()

    @property
    def kept(self) -> nn.Module:
        """The network that is validated and kept: the averaged one, if weights are averaged."""
        return self.model if self.average is None else self.average.model

    @property
    def rate(self) -> float:
        """The current learning rate of the backbone."""
        return self.optimizer.param_groups[0]["lr"]

    def feature_bytes(self) -> int:
        """Return the memory in bytes of the features of one image, as the new layers see them.

        Raises:
            ValueError: if the images are too small for the network
        """
        side = self.recipe.image_size
        blank = torch.zeros(1, 3, side, side, device=self.device)
        try:
            return next(iter(read_features(self.model, self.backbone, [blank]))).nbytes
        except RuntimeError as error:
            raise ValueError(
                f"{self.backbone.name} cannot process images of image_size={side!r} pixels "
                f"({error}). Pass a larger one: it was designed for {self.backbone.image_size}"
            ) from None

    def learn(self, batch: Batch, reader: nn.Module, sums: Sums, factor: float, optimizer=None):
        """Do one training step.

        Args:
            batch: the batch to learn from
            reader: computes logits from the inputs of the batch
            sums: accumulates the loss
            factor: multiplies the highest learning rate
            optimizer: the optimizer; by default (None), that of the learner
        """
        if len(batch.positions) == 1 < self.recipe.batch_size and self.norms:
            return  # the rest of an epoch: batch norm cannot normalize a single image
        optimizer = optimizer or self.optimizer
        set_rates(optimizer, factor)
        if self.recipe.from_scratch:
            self._average_statistics()
        logits = self.logits(reader, batch.inputs)
        loss = F.cross_entropy(
            logits,
            batch.targets,
            weight=self.loss_weights,
            label_smoothing=self.recipe.label_smoothing,
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if self.average is not None:
            self.average.update(self.model)
        sums.add(logits.detach(), batch.labels, loss)

    @torch.no_grad()
    def evaluate(self, source: Pictures | Features, on_batch) -> Evaluation:
        """Evaluate the kept weights on all images of a source, without augmentation.

        Args:
            source: the images
            on_batch: called with the number of images of each batch
        """
        model, sums = self.kept.eval(), Sums()
        reader = source.reader(model)
        positions, predicted = [np.empty(0, np.int64)], [torch.empty(0, dtype=torch.int64)]

        def add(where: np.ndarray, logits: torch.Tensor, labels: torch.Tensor) -> None:
            sums.add(logits, labels, F.cross_entropy(logits, labels))
            positions.append(where)
            predicted.append(logits.argmax(1).cpu())

        if isinstance(source, Pictures):
            source.run_pass(model, _Logits(self, reader, source.data.labels, add), on_batch)
        else:
            for batch in source.batches(source.data.positions):
                add(batch.positions, self.logits(reader, batch.inputs), batch.labels)
                on_batch(len(batch.positions))
        loss, accuracy, _ = sums.read()
        return Evaluation(
            loss,
            accuracy,
            np.concatenate(positions),
            torch.cat(predicted).numpy(),
            sums.dead,
        )

    def logits(self, reader: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        """Compute logits (n, K) float32 of normalized images or features, in the recipe's dtype."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            logits = reader(inputs)
        return logits.float()

    def _average_statistics(self) -> None:
        """Start the batch statistics as a plain mean.

        A running mean would still contain a third of its arbitrary initial value after ten steps,
        and small trainings have few steps.
        """
        for norm in self.norms:
            seen = int(norm.num_batches_tracked)
            if seen <= STATISTICS_STEPS:
                norm.momentum = max(1 / (seen + 1), 1 / STATISTICS_STEPS)

    def head_change(self) -> float:
        """Return how far the new layers moved from their initial weights, relative to those."""
        pairs = list(zip(self.new, self.head_start, strict=True))
        moved = sum(float((now.detach() - then).square().sum()) for now, then in pairs)
        size = sum(float(then.square().sum()) for _, then in pairs)
        return (moved / max(size, 1e-24)) ** 0.5

    def is_finite(self) -> bool:
        """Return whether all kept weights are finite."""
        return all(bool(torch.isfinite(weight).all()) for weight in self.kept.parameters())

    def restart_average(self) -> None:
        """Restart the average from the current weights."""
        if self.average is not None:
            self.average = Average(self.model, self.recipe.ema)

    def state(self) -> dict:
        """Return everything that is needed to resume, as tensors and plain values."""
        average = self.average
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "head_start": self.head_start,
            "average": None if average is None else average.model.state_dict(),
            "average_steps": 0 if average is None else average.steps,
        }

    def restore(self, state: dict) -> None:
        """Resume from a state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.head_start = [weight.to(self.device) for weight in state["head_start"]]
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
            self.average.steps = state["average_steps"]
