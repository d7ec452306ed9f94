"""The training loop: fine-tune on some images, watch others, keep the best epoch."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..images.batches import Images
from .augment import augment
from .backbones import Backbone, get_backbone
from .recipe import Recipe
from .weights import create_model


@dataclass(frozen=True)
class Epoch:
    """One row of a history: means over the images of an epoch; None where nothing is watched."""

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    seconds: float

    def to_dict(self) -> dict:
        """A JSON-ready dictionary."""
        return asdict(self)

    def __str__(self) -> str:
        text = f"epoch {self.epoch}: train loss {self.train_loss:.3f}"
        text += f", accuracy {self.train_accuracy:.3f}"
        if self.val_loss is not None:
            text += f"; val loss {self.val_loss:.3f}, accuracy {self.val_accuracy:.3f}"
        return text


@dataclass
class Trained:
    """A trained model in eval mode, with the weights of its best epoch, and the history."""

    model: nn.Module
    history: list[Epoch]
    best_epoch: int


@dataclass
class Labelled:
    """Images with labels.

    Attributes:
        images: image files
        labels: (N,) int64, class index of each image
        positions: which of the images are meant; None for all
    """

    images: Images
    labels: np.ndarray
    positions: np.ndarray | None = None

    def __post_init__(self):
        if self.positions is None:
            self.positions = np.arange(len(self.images))

    def __len__(self) -> int:
        return len(self.positions)


def pick_device(device: str | None = None) -> torch.device:
    """The device asked for, or the best one at hand: a GPU if there is one, else the CPU."""
    if device:
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def train(
    recipe: Recipe,
    num_classes: int,
    train_set: Labelled,
    val_set: Labelled | None = None,
    device: str | None = None,
    on_step: Callable[[int, int, Epoch | None], None] | None = None,
    on_epoch: Callable[[nn.Module], None] | None = None,
) -> Trained:
    """Train a classifier by a recipe.

    The best epoch has the highest accuracy on `val_set`, the lower loss among equals; without a
    `val_set` the last epoch counts. torch's global random state is left as it was found.

    Args:
        recipe: what to do
        num_classes: number of classes K
        train_set, val_set: images to learn from, images to watch
        device: such as "cpu" or "cuda"; None picks
        on_step: called with (images done, images in all epochs, the epoch just ended or None)
        on_epoch: called with the model after each epoch; it must leave it as it is

    Raises:
        ValueError: if none of the training images can be decoded, or the loss is not finite
    """
    backbone = get_backbone(recipe.backbone)
    device = pick_device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        model = create_model(recipe.backbone, num_classes, recipe.weights)
        model = model.to(device, memory_format=torch.channels_last)
        on_step, on_epoch = on_step or (lambda *_: None), on_epoch or (lambda _: None)
        loop = _Loop(recipe, backbone, model, device, on_step, on_epoch)
        return loop.run(train_set, val_set)


class _Loop:
    def __init__(self, recipe, backbone: Backbone, model: nn.Module, device, on_step, on_epoch):
        self.recipe, self.backbone, self.model = recipe, backbone, model
        self.device, self.on_step, self.on_epoch = device, on_step, on_epoch
        self.random = np.random.default_rng(recipe.seed)
        self.done = self.total = 0

    def run(self, train_set: Labelled, val_set: Labelled | None) -> Trained:
        recipe, model = self.recipe, self.model
        steps = math.ceil(len(train_set) / recipe.batch_size) * recipe.epochs
        optimizer = torch.optim.AdamW(self._groups(), weight_decay=recipe.weight_decay)
        warmup = round(recipe.warmup * steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: _warm_cosine(step, warmup, steps)
        )
        watched = len(val_set) if val_set else 0
        self.total = recipe.epochs * (len(train_set) + watched)
        history: list[Epoch] = []
        best, best_state = (-1.0, -math.inf), model.state_dict()
        for number in range(1, recipe.epochs + 1):
            start, rate = time.perf_counter(), schedule.get_last_lr()[0]
            train_loss, train_accuracy = self._learn(train_set, optimizer, schedule)
            val_loss, val_accuracy = self._watch(val_set) if val_set else (None, None)
            seconds = time.perf_counter() - start
            history.append(
                Epoch(number, train_loss, train_accuracy, val_loss, val_accuracy, rate, seconds)
            )
            score = (float(number), 0.0) if val_loss is None else (val_accuracy, -val_loss)
            if score > best:
                best, best_epoch = score, number
                best_state = copy.deepcopy(model.state_dict())
            self.on_epoch(model)
            self.on_step(self.done, self.total, history[-1])
        model.load_state_dict(best_state)
        return Trained(model.eval(), history, best_epoch)

    def _groups(self) -> list[dict]:
        """The last layer learns faster where the rest is pretrained."""
        rate, prefix = self.recipe.learning_rate, self.backbone.family.last_layer + "."
        factor = 1.0 if self.recipe.from_scratch else self.recipe.head_lr_factor
        named = list(self.model.named_parameters())
        return [
            {"params": [p for n, p in named if not n.startswith(prefix)], "lr": rate},
            {"params": [p for n, p in named if n.startswith(prefix)], "lr": rate * factor},
        ]

    def _learn(self, data: Labelled, optimizer, schedule) -> tuple[float, float]:
        self.model.train()
        sums = np.zeros(3)
        order = self.random.permutation(data.positions)
        for batch in data.images.batches(self.recipe.batch_size, order):
            images = augment(batch.images, self.recipe, self.random)
            labels = torch.from_numpy(data.labels[batch.positions]).to(self.device)
            logits = self.model(self.backbone.normalize(images.to(self.device)))
            loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
            if not torch.isfinite(loss):
                raise ValueError(
                    f"The training loss is no longer finite at learning_rate="
                    f"{self.recipe.learning_rate:g}. Lower it, for example tenfold"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            sums += _sums(logits, labels, loss)
            self._advance(len(labels))
        if sums[2] == 0:
            reasons = [str(e) for e in list(data.images.failures.values())[:3]]
            raise ValueError(f"No training image can be decoded: {'; '.join(reasons)}")
        return float(sums[0] / sums[2]), float(sums[1] / sums[2])

    @torch.no_grad()
    def _watch(self, data: Labelled) -> tuple[float, float] | tuple[None, None]:
        self.model.eval()
        sums = np.zeros(3)
        for batch in data.images.batches(self.recipe.batch_size, data.positions):
            labels = torch.from_numpy(data.labels[batch.positions]).to(self.device)
            logits = self.model(self.backbone.normalize(batch.images.to(self.device)))
            sums += _sums(logits, labels, F.cross_entropy(logits, labels))
            self._advance(len(labels))
        if not sums[2]:
            return None, None
        return float(sums[0] / sums[2]), float(sums[1] / sums[2])

    def _advance(self, count: int) -> None:
        self.done += count
        self.on_step(self.done, self.total, None)


def _warm_cosine(step: int, warmup: int, steps: int) -> float:
    """Factor on the learning rate: a linear rise, then half a cosine down to zero."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _sums(logits: torch.Tensor, labels: torch.Tensor, loss: torch.Tensor) -> np.ndarray:
    """Summed loss, number right and number of images of a batch."""
    right = (logits.argmax(1) == labels).sum().item()
    return np.array([loss.item() * len(labels), right, len(labels)])
