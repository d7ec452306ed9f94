"""Heatmaps during training: how the attention of a network changes from epoch to epoch."""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import nn

from ..disk import whole_file
from ..explain import overlay
from ..explain.render import render_heatmap
from ..images.batches import Images
from ..images.decode import DEFAULT, DecodeOptions, decode
from ..images.geometry import seen_box
from ..model.backbones import get_backbone
from ..passes.engine import run_pass
from ..passes.seen import Seen
from ..passes.sinks import Logits, Sink
from .recipe import Recipe
from .sources import InTraining

COLUMNS = 12  # maximum number of epochs in a strip
CELL = 160

MAPS, STRIP = "watch.npz", "watch.png"


class _Maps(Sink):
    """Keep the map of a given class for each image."""

    splits = explains = True

    def __init__(self, targets: torch.Tensor):
        self.targets = targets
        self.found: list[np.ndarray] = []

    def compute(self, seen: Seen) -> torch.Tensor:
        """See `Sink`."""
        (maps,), _ = seen.forward.maps([self.targets[seen.positions]])
        return maps.float()

    def take(self, positions: np.ndarray, value: torch.Tensor) -> None:
        """See `Sink`."""
        self.found.append(value.numpy())


class Watch:
    """Stores a heatmap of each selected sample, for its label, after each epoch.

    Args:
        ids: of the samples
        paths, labels: the file of each sample, and its label, one of `classes`
        classes: in the order of the logits
        recipe: the settings of the training
        decode_options: which unusual files are decoded

    Raises:
        ValueError: if one of the files cannot be decoded
    """

    def __init__(
        self,
        ids: list[str],
        paths: list[str],
        labels: list[str],
        classes: list[str],
        recipe: Recipe,
        decode_options: DecodeOptions = DEFAULT,
    ):
        self.recipe, self.classes = recipe, classes
        self.decode_options = decode_options
        self.ids, self.paths, self.labels = ids, paths, labels
        size = recipe.image_size
        images = Images(
            paths,
            size,
            cache_bytes=3 * size * size * len(paths),
            resize=recipe.resize,
            decode_options=decode_options,
        )
        self.frames = images.load(np.arange(len(ids))).frames
        if images.failures:
            failure = next(iter(images.failures.values()))
            raise ValueError(f"An image of watch cannot be decoded: {failure}")
        self.images = images
        self.targets = torch.tensor([classes.index(label) for label in self.labels])
        self.epochs: list[int] = []
        self.maps: list[np.ndarray] = []
        self.scores: list[np.ndarray] = []
        self.predicted: list[np.ndarray] = []

    def __call__(self, model: nn.Module, epoch: int) -> None:
        """Store the heatmaps of the model after an epoch; 0 is that of the new layers alone."""
        device = next(model.parameters()).device
        network = InTraining(model, get_backbone(self.recipe.backbone), device)
        maps, logits = _Maps(self.targets), Logits(len(self.ids))
        run_pass(self.images, network, [maps, logits], self.recipe.batch_size)
        scores = torch.from_numpy(logits.rows).softmax(1)
        self.epochs.append(epoch)
        self.maps.append(np.concatenate(maps.found))
        self.scores.append(scores.gather(1, self.targets[:, None])[:, 0].numpy())
        self.predicted.append(scores.argmax(1).numpy())

    def state(self) -> dict:
        """Return everything stored so far as tensors and plain values."""
        return {
            "ids": self.ids,
            "epochs": self.epochs,
            "maps": [torch.from_numpy(x) for x in self.maps],
            "scores": [torch.from_numpy(x) for x in self.scores],
            "predicted": [torch.from_numpy(x) for x in self.predicted],
        }

    def restore(self, state: dict) -> None:
        """Resume from a state."""
        self.epochs = list(state["epochs"])
        for name in ("maps", "scores", "predicted"):
            setattr(self, name, [x.numpy() for x in state[name]])

    def save(self, folder: str) -> dict:
        """Write the maps and a sheet of overlays; each file appears only when it is complete.

        Returns:
            what is recorded with the run: the ids, and the paths of both files
        """
        paths = {name: os.path.join(folder, name) for name in (MAPS, STRIP)}
        with whole_file(paths[MAPS]) as part, open(part, "wb") as file:
            np.savez_compressed(
                file,
                ids=np.array(self.ids),
                labels=np.array(self.labels),
                epochs=np.array(self.epochs),
                maps=np.stack(self.maps),
                scores=np.stack(self.scores),
                predicted=np.array(self.classes)[np.stack(self.predicted)],
            )
        with whole_file(paths[STRIP]) as part:
            self.strip().save(part, format="PNG")
        return {"ids": self.ids, "maps": paths[MAPS], "strip": paths[STRIP]}

    def strip(self):
        """Return a sheet with a row per sample: the image, and its overlays of up to 12 epochs."""
        columns = np.unique(
            np.linspace(0, len(self.maps) - 1, min(COLUMNS, len(self.maps))).round().astype(int)
        )
        pictures, captions = [], []
        for row, (path, label) in enumerate(zip(self.paths, self.labels, strict=True)):
            image = overlay.fit(decode(path, CELL, self.decode_options).image, box=CELL)
            pictures.append(image)
            captions.append(label)
            width, height = map(int, self.frames[row])
            box = seen_box(self.recipe.resize, width, height)
            for column in columns:
                cam = self.maps[column][row]
                pixels = render_heatmap(cam, width, height, box, resolution=CELL)
                pictures.append(overlay.overlay(image, pixels))
                epoch = f"epoch {self.epochs[column]}" if self.epochs[column] else "new layers"
                captions.append(f"{epoch}: score {self.scores[column][row]:.2f}")
        return overlay.sheet(pictures, captions, columns=len(columns) + 1, cell=CELL)
