"""Heatmaps through training: how the focus of a network moved, epoch by epoch."""

from __future__ import annotations

import os
from collections.abc import Sequence

import fiftyone as fo
import numpy as np
import torch
from torch import nn

from ..dataset import fields
from ..dataset.import_record import decode_options
from ..disk import whole_file
from ..explain import overlay
from ..explain.cam import explain
from ..explain.render import render_heatmap
from ..images.batches import Images
from ..images.decode import decode
from ..images.geometry import seen_box
from ..model.backbones import get_backbone
from ..training.recipe import Recipe

COLUMNS = 12  # epochs in a strip, at most
CELL = 160

MAPS, STRIP = "watch.npz", "watch.png"
Samples = fo.core.collections.SampleCollection


def choose_watched(
    samples: Samples, watch: int | Sequence[str], label_field: str, classes: list[str], seed: int
) -> list[str]:
    """Ids of the samples to watch.

    Args:
        samples: a dataset or view
        watch: how many, taken from those tagged "val" (or else "train", or else all), one of each
            class in turn; or ids
        label_field, classes: only samples of these classes can be watched
        seed: of the choice

    Raises:
        ValueError: if there are no such samples, or they have no known label
    """
    if isinstance(watch, int) and not isinstance(watch, bool):
        if watch < 0:
            raise ValueError(f"watch must be a number of samples or ids, not {watch!r}")
        pool = samples
        for tag in ("val", "train"):
            tagged = samples.match_tags(tag)
            if len(tagged):
                pool = tagged
                break
        ids, _, labels = fields.labels_of(pool, label_field)
        random = np.random.default_rng(seed)
        by_class = {name: [] for name in classes}
        for i in random.permutation(len(ids)):
            if labels[i] in by_class:
                by_class[labels[i]].append(ids[i])
        turns = max(map(len, by_class.values()), default=0)
        rows = [members[turn : turn + 1] for turn in range(turns) for members in by_class.values()]
        return [i for row in rows for i in row][:watch]
    if isinstance(watch, str) or not all(isinstance(i, str) for i in watch):
        raise ValueError(f"watch must be a number of samples or a list of ids, not {watch!r}")
    dataset = fields.root_dataset(samples)
    ids, _, labels = fields.labels_of(dataset.select(list(watch)), label_field)
    if missing := [i for i in watch if i not in ids]:
        raise ValueError(f"{dataset.name!r} has no sample {missing[0]!r} to watch")
    if strangers := [i for i, label in zip(ids, labels, strict=True) if label not in classes]:
        raise ValueError(
            f"Sample {strangers[0]!r} cannot be watched: its label is none of the classes trained"
        )
    return list(watch)


class Watch:
    """Keeps a map of each watched sample, of its own label, at each epoch.

    Args:
        samples: where the samples are
        ids: which
        label_field, classes: their labels and the order of the classes
        recipe: what is trained
    """

    def __init__(
        self,
        samples: Samples,
        ids: list[str],
        label_field: str,
        classes: list[str],
        recipe: Recipe,
    ):
        self.recipe, self.classes = recipe, classes
        dataset = fields.root_dataset(samples)
        self.decode_options = decode_options(dataset)
        view = dataset.select(ids, ordered=True)
        self.ids, self.paths, self.labels = fields.labels_of(view, label_field)
        images = Images(
            self.paths,
            recipe.image_size,
            resize=recipe.resize,
            decode_options=self.decode_options,
        )
        batch = images.load(np.arange(len(ids)))
        if images.failures:
            raise ValueError(f"Cannot be watched: {next(iter(images.failures.values()))}")
        self.batch = batch
        self.targets = torch.tensor([classes.index(label) for label in self.labels])
        self.epochs: list[int] = []
        self.maps: list[np.ndarray] = []
        self.scores: list[np.ndarray] = []
        self.predicted: list[np.ndarray] = []

    def __call__(self, model: nn.Module, epoch: int) -> None:
        """Look at the model as it is after an epoch; 0 is that of the new layers alone."""
        backbone = get_backbone(self.recipe.backbone)
        device = next(model.parameters()).device
        maps, logits = [], []
        for rows in torch.arange(len(self.ids)).split(self.recipe.batch_size):
            pixels = backbone.normalize(self.batch.images[rows].to(device))
            found = explain(model, backbone, pixels, [self.targets[rows]])
            maps.append(found.maps[0].float().cpu())
            logits.append(found.logits.float().cpu())
        scores = torch.cat(logits).softmax(1)
        self.epochs.append(epoch)
        self.maps.append(torch.cat(maps).numpy())
        self.scores.append(scores.gather(1, self.targets[:, None])[:, 0].numpy())
        self.predicted.append(scores.argmax(1).numpy())

    def state(self) -> dict:
        """What was kept so far, of tensors and plain values."""
        return {
            "ids": self.ids,
            "epochs": self.epochs,
            "maps": [torch.from_numpy(x) for x in self.maps],
            "scores": [torch.from_numpy(x) for x in self.scores],
            "predicted": [torch.from_numpy(x) for x in self.predicted],
        }

    def restore(self, state: dict) -> None:
        """Go on where a state was taken."""
        self.epochs = list(state["epochs"])
        for name in ("maps", "scores", "predicted"):
            setattr(self, name, [x.numpy() for x in state[name]])

    def save(self, folder: str) -> dict:
        """Write the maps and a strip of pictures; each file appears only when it is complete.

        Returns:
            what is recorded with the run: ids, and the paths of both files
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
        """A row for each sample: the image, and its overlay at each epoch (or some of them)."""
        columns = np.unique(
            np.linspace(0, len(self.maps) - 1, min(COLUMNS, len(self.maps))).round().astype(int)
        )
        pictures, captions = [], []
        for row, (path, label) in enumerate(zip(self.paths, self.labels, strict=True)):
            image = overlay.fit(decode(path, CELL, self.decode_options).image, box=CELL)
            pictures.append(image)
            captions.append(label)
            width, height = map(int, self.batch.frames[row])
            box = seen_box(self.recipe.resize, width, height)
            for column in columns:
                cam = self.maps[column][row]
                pixels = render_heatmap(cam, width, height, box, resolution=CELL)
                pictures.append(overlay.overlay(image, pixels))
                epoch = f"epoch {self.epochs[column]}" if self.epochs[column] else "new layers"
                captions.append(f"{epoch}: score {self.scores[column][row]:.2f}")
        return overlay.sheet(pictures, captions, columns=len(columns) + 1, cell=CELL)
