"""A run's network, ready to predict and explain batches."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from ..dataset.runs import Run
from ..explain.cam import PREDICTED, RUNNER_UP, Explained, Target, explain_network
from ..explain.render import HeatmapOptions

LABEL = "label"
CONTRAST = "contrast"
KINDS = (PREDICTED, LABEL, RUNNER_UP, CONTRAST)


class Explainer:
    """A run's network on a device, ready to predict and explain.

    Args:
        run: a run
        options: how to explain
        device: such as "cpu" or "cuda"; None picks
    """

    def __init__(self, run: Run, options: HeatmapOptions, device: str | None = None):
        self.run, self.options = run, options
        self.network = run.network(device, options.layer)
        self.device, self.layer = self.network.device, self.network.layer
        self.resize, self.model = self.network.resize, self.network.module

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 images (N, 3, S, S) as this network wants them, on its device."""
        return self.network.normalize(images)

    def __call__(self, images: torch.Tensor, targets: list[Target]) -> Explained:
        """Logits and maps of uint8 images (N, 3, S, S)."""
        options = self.options
        return explain_network(
            self.network, self.normalize(images), targets, options.method, options.signed
        )


@dataclass
class Maps:
    """Maps of some samples: for each kind wanted, cams (N, h, w) and classes (N,), -1 for none."""

    cams: dict[str, np.ndarray] = field(default_factory=dict)
    classes: dict[str, np.ndarray] = field(default_factory=dict)

    def peaks(self) -> np.ndarray:
        """(N,) the largest peak of each sample's maps."""
        return np.max([np.abs(cams).max((1, 2)) for cams in self.cams.values()], axis=0)


def explain_batch(
    explainer: Explainer, images: torch.Tensor, own: np.ndarray, kinds: list[str]
) -> tuple[np.ndarray, Maps]:
    """Logits (N, K) and maps of a batch.

    Args:
        explainer: what predicts
        images: uint8 (N, 3, S, S)
        own: (N,) the samples' own labels, -1 where there is none
        kinds: any of `KINDS` and "class:<name>"
    """
    wanted = [kind for kind in kinds if kind != CONTRAST]
    if CONTRAST in kinds:
        wanted += [kind for kind in (PREDICTED, LABEL) if kind not in wanted]
    known = {LABEL: own}
    for kind in wanted:
        if kind.startswith("class:"):
            index = explainer.run.classes.index(kind.removeprefix("class:"))
            known[kind] = np.full(len(own), index, np.int64)
    targets = [torch.from_numpy(known[kind]) if kind in known else kind for kind in wanted]
    explained = explainer(images, targets)
    maps = Maps()
    for kind, cams, classes in zip(wanted, explained.maps, explained.classes, strict=True):
        maps.cams[kind] = cams.float().cpu().numpy()
        maps.classes[kind] = classes.cpu().numpy()
    if CONTRAST in kinds:
        predicted = maps.classes[PREDICTED]
        maps.cams[CONTRAST] = maps.cams[PREDICTED] - maps.cams[LABEL]
        maps.classes[CONTRAST] = np.where((own >= 0) & (own != predicted), predicted, -1)
    pooled = explained.pooled.float().cpu().numpy()
    return explained.logits.float().cpu().numpy(), maps, pooled
