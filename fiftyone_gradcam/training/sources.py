"""What a training reads: batches of pictures, or features that were computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..images.batches import Images
from ..model.backbones import Backbone
from ..model.heads import dropout_before, new_layers
from .augment import augment, mix
from .recipe import Recipe


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


@dataclass
class Batch:
    """A batch on the device.

    Attributes:
        inputs: normalised images or features (n, ...)
        targets: class indexes (n,), or shares of classes (n, K) of mixed images
        positions: (n,) which images
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    positions: np.ndarray

    @property
    def labels(self) -> torch.Tensor:
        """(n,) the class, or that of the larger share."""
        return self.targets if self.targets.ndim == 1 else self.targets.argmax(1)


class Pictures:
    """Batches of decoded, augmented and normalised images; read by the whole network.

    Args:
        data: the images
        recipe: batch size and augmentation
        num_classes: number of classes K
        backbone: how images are normalised
        device: where batches go
    """

    def __init__(
        self, data: Labelled, recipe: Recipe, num_classes: int, backbone: Backbone, device
    ):
        self.data, self.recipe, self.num_classes = data, recipe, num_classes
        self.backbone, self.device = backbone, device

    def reader(self, model: nn.Module) -> nn.Module:
        """What makes logits of a batch's inputs."""
        return model

    def batches(
        self, order: np.ndarray, random: np.random.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield batches in an order of positions; with `random` they are augmented."""
        for batch in self.data.images.batches(self.recipe.batch_size, order):
            labels = torch.from_numpy(self.data.labels[batch.positions]).to(self.device)
            images = batch.images.to(self.device, non_blocking=True)
            if random is not None:
                images = augment(images, self.recipe, random)
                if self.recipe.mixup:
                    images, labels = mix(
                        images, labels, self.num_classes, self.recipe.mixup, random
                    )
            yield Batch(self.backbone.normalize(images), labels, batch.positions)


class Features:
    """Batches of what the new layers see, computed once; read by the new layers alone.

    Args:
        data: the images
        recipe: batch size
        backbone: which layers are new
        values: features (n, ...) on the device
        positions: (n,) the images that they are of
    """

    def __init__(
        self,
        data: Labelled,
        recipe: Recipe,
        backbone: Backbone,
        values: torch.Tensor,
        positions: np.ndarray,
    ):
        self.data, self.recipe, self.backbone = data, recipe, backbone
        self.values, self.positions = values, positions
        self.rows = np.full(len(data.images), -1, np.int64)
        self.rows[positions] = np.arange(len(positions))

    def reader(self, model: nn.Module) -> nn.Module:
        """What makes logits of a batch's inputs."""
        return new_layers(model, self.backbone.family.last_layer, self.backbone.family.after)

    def averages(self) -> tuple[np.ndarray, np.ndarray]:
        """The features averaged over cells (n, C), and the positions of their images (n,)."""
        values = self.values.flatten(2).mean(2) if self.values.ndim > 2 else self.values
        return values.float().cpu().numpy(), self.positions

    def batches(
        self, order: np.ndarray, random: np.random.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield batches in an order of positions."""
        order = order[self.rows[order] >= 0]
        for start in range(0, len(order), self.recipe.batch_size):
            chosen = order[start : start + self.recipe.batch_size]
            rows = torch.from_numpy(self.rows[chosen]).to(self.values.device)
            labels = torch.from_numpy(self.data.labels[chosen]).to(self.values.device)
            yield Batch(self.values[rows], labels, chosen)


@torch.no_grad()
def read_features(
    model: nn.Module, backbone: Backbone, inputs: Iterable[torch.Tensor]
) -> Iterator[torch.Tensor]:
    """What the new layers see of each batch of normalised images.

    Args:
        model: put into eval mode
        backbone: what it is
        inputs: batches (n, 3, S, S) on the model's device
    """
    model.eval()
    seen: list[torch.Tensor] = []
    last_layer = backbone.family.last_layer
    entry = dropout_before(model, last_layer) or model.get_submodule(last_layer)
    hook = entry.register_forward_pre_hook(lambda _, found: seen.append(found[0].clone()))
    try:
        for images in inputs:
            model(images)
            yield seen.pop()
    finally:
        hook.remove()


def compute_features(
    model: nn.Module, pictures: Pictures, advance: Callable[[int], None]
) -> Features:
    """Read the features of all images of a source, once.

    Args:
        model: put into eval mode
        pictures: which images; they are not augmented
        advance: called with the number of images done, batch by batch
    """
    order: list[np.ndarray] = []

    def inputs() -> Iterator[torch.Tensor]:
        for batch in pictures.batches(pictures.data.positions):
            order.append(batch.positions)
            yield batch.inputs
            advance(len(batch.positions))

    kept = list(read_features(model, pictures.backbone, inputs()))
    values = torch.cat(kept) if kept else torch.empty(0, device=pictures.device)
    positions = np.concatenate(order) if order else np.empty(0, np.int64)
    return Features(pictures.data, pictures.recipe, pictures.backbone, values, positions)
