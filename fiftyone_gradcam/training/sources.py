"""Data sources of a training: batches of images, or of features that are computed once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from ..images.batches import Images
from ..model.backbones import Backbone
from ..model.heads import dropout_before, new_layers
from ..model.splitting import Splitter, splitter_of
from ..passes.engine import decoding_processes, run_pass
from ..passes.seen import Seen
from ..passes.sinks import Sink
from .augment import augment, mix
from .recipe import Recipe


@dataclass
class Labelled:
    """Images with labels.

    Attributes:
        images: image files
        labels: (N,) int64, class index of each image
        positions: positions of the images to use; by default (None), all
    """

    images: Images
    labels: np.ndarray
    positions: np.ndarray | None = None

    def __post_init__(self):
        if self.positions is None:
            self.positions = np.arange(len(self.images))

    def __len__(self) -> int:
        return len(self.positions)

    def with_resize(self, resize: str) -> Labelled:
        """Return the same images and labels with another resize method."""
        return replace(self, images=self.images.with_resize(resize))


@dataclass
class Batch:
    """A batch on the device.

    Attributes:
        inputs: normalized images or features (n, ...)
        targets: class indexes (n,), or for mixed images the share of each class (n, K)
        positions: (n,) positions of the images
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    positions: np.ndarray

    @property
    def labels(self) -> torch.Tensor:
        """(n,) the class of each image, or the one with the larger share."""
        return self.targets if self.targets.ndim == 1 else self.targets.argmax(1)


class Pictures:
    """Batches of decoded, augmented and normalized images, for the whole network.

    Args:
        data: the images
        recipe: batch size and augmentation
        num_classes: number of classes K
        backbone: defines the normalization
        device: the device of the batches
    """

    def __init__(
        self, data: Labelled, recipe: Recipe, num_classes: int, backbone: Backbone, device
    ):
        self.data, self.recipe, self.num_classes = data, recipe, num_classes
        self.backbone, self.device = backbone, device

    def reader(self, model: nn.Module) -> nn.Module:
        """Return the module that computes logits from the inputs of a batch."""
        return model

    def batches(
        self, order: np.ndarray, random: np.random.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield batches for a sequence of positions, augmented if `random` is given."""
        source, processes = self.data.images, 0
        if self.device.type != "cpu":  # on a CPU, they would compete with the network
            processes = decoding_processes(sum(not source.is_kept(i) for i in order))
        for batch in source.batches(self.recipe.batch_size, order, processes):
            labels = torch.from_numpy(self.data.labels[batch.positions]).to(self.device)
            images = batch.images.to(self.device, non_blocking=True)
            if random is not None:
                images = augment(images, self.recipe, random)
                if self.recipe.mixup:
                    images, labels = mix(
                        images, labels, self.num_classes, self.recipe.mixup, random
                    )
            yield Batch(self.backbone.normalize(images), labels, batch.positions)

    def run_pass(self, model: nn.Module, sink: Sink, advance: Callable[[int], None]) -> None:
        """Run a network over all images, without augmentation.

        Args:
            model: the network, in the mode to use
            sink: receives each batch
            advance: called after each batch with its number of images
        """
        before = 0

        def report(done: int, total: int, message: str) -> None:
            nonlocal before
            advance(done - before)
            before = done

        network = InTraining(model, self.backbone, self.device)
        size, positions = self.recipe.batch_size, self.data.positions
        run_pass(self.data.images, network, [sink], size, report, positions)


@dataclass(frozen=True)
class InTraining:
    """Adapter of a network in training for passes (see `passes.seen.Classifier`)."""

    module: nn.Module
    backbone: Backbone
    device: torch.device

    @property
    def splitter(self) -> Splitter:
        """The way the network is split at its target layer."""
        return splitter_of(self.backbone)

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """Normalize uint8 images (N, 3, S, S) for the network."""
        return self.backbone.normalize(images.to(self.device))


class Features:
    """Batches of features computed once, for the new layers alone.

    Args:
        data: the images
        recipe: batch size
        backbone: defines which layers are new
        values: features (n, ...) on the device; those with cells in `torch.channels_last`
        positions: (n,) positions of their images
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
        """Return the module that computes logits from the inputs of a batch."""
        return new_layers(model, self.backbone.family.last_layer, self.backbone.family.after)

    def averages(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the features averaged over cells (n, C), and the positions of the images (n,)."""
        values = self.values.flatten(2).mean(2) if self.values.ndim > 2 else self.values
        return values.float().cpu().numpy(), self.positions

    def batches(
        self, order: np.ndarray, random: np.random.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield batches for a sequence of positions."""
        order = order[self.rows[order] >= 0]
        for start in range(0, len(order), self.recipe.batch_size):
            chosen = order[start : start + self.recipe.batch_size]
            rows = self.rows[chosen]
            labels = torch.from_numpy(self.data.labels[chosen]).to(self.values.device)
            yield Batch(self._values_of(rows), labels, chosen)

    def _values_of(self, rows: np.ndarray) -> torch.Tensor:
        """Return the features of some rows; rows that follow each other are not copied."""
        first = int(rows[0])
        if np.array_equal(rows, np.arange(first, first + len(rows))):
            return self.values[first : first + len(rows)]
        return self.values[torch.from_numpy(rows).to(self.values.device)]


@torch.no_grad()
def read_features(
    model: nn.Module, backbone: Backbone, inputs: Iterable[torch.Tensor]
) -> Iterator[torch.Tensor]:
    """Yield the input of the new layers for each batch of normalized images.

    Args:
        model: the network; set to eval mode
        backbone: its architecture
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


class _NewLayersInputs(Sink):
    """Keep the input of the new layers for each image, on the device."""

    def __init__(self, entry: nn.Module):
        self.found: list[tuple[int, torch.Tensor]] = []
        self.order: list[np.ndarray] = []
        self._local = threading.local()  # several threads run the network at the same time
        self.hook = entry.register_forward_pre_hook(self._keep)

    def _keep(self, _: nn.Module, inputs: tuple) -> None:
        self._local.inputs = inputs[0].clone()

    def compute(self, seen: Seen) -> None:
        """See `Sink`."""
        seen.logits  # noqa: B018 (runs the network, and with it the hook)
        # Stays on the device, where it is needed; batches may finish in another order.
        self.found.append((int(seen.positions[0]), self._local.__dict__.pop("inputs")))

    def take(self, positions: np.ndarray, value: None) -> None:
        """See `Sink`."""
        self.order.append(positions)

    def in_order(self) -> list[torch.Tensor]:
        """Return the kept inputs of each batch, in the order of the pass."""
        found = dict(self.found)
        return [found[int(positions[0])] for positions in self.order]


def compute_features(
    model: nn.Module, pictures: Pictures, advance: Callable[[int], None]
) -> Features:
    """Compute the features of all images of a source once.

    Args:
        model: the network; set to eval mode
        pictures: the images; they are not augmented
        advance: called after each batch with its number of images
    """
    model.eval()
    last_layer = pictures.backbone.family.last_layer
    sink = _NewLayersInputs(dropout_before(model, last_layer) or model.get_submodule(last_layer))
    try:
        pictures.run_pass(model, sink, advance)
    finally:
        sink.hook.remove()
    kept = sink.in_order()
    values = torch.cat(kept) if kept else torch.empty(0, device=pictures.device)
    if values.ndim == 4:
        values = values.contiguous(memory_format=torch.channels_last)
    positions = np.concatenate(sink.order) if sink.order else np.empty(0, np.int64)
    return Features(pictures.data, pictures.recipe, pictures.backbone, values, positions)
