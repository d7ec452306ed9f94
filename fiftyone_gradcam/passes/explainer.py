"""A run's network, ready to predict and explain batches."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from ..dataset.runs import Run
from ..explain.cam import PREDICTED, RUNNER_UP, Explained, Target, explain
from ..explain.render import HeatmapOptions
from ..model.backbones import get_backbone
from ..model.device import pick_device
from ..model.folding import fold_batch_norms
from ..model.nodes import check_layer

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
        self.backbone = get_backbone(run.recipe["backbone"])
        self.resize = run.recipe.get("resize", "squash")
        self.device = pick_device(device)
        model = run.load_model()
        if options.layer is None:  # a layer of the user's would no longer be what it was
            model = fold_batch_norms(model)
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.layer = options.layer or self.backbone.family.layer
        if options.layer is not None:
            check_layer(self.model, options.layer)  # before threads ask for it

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 images (N, 3, S, S) as this network wants them, on its device."""
        return self.backbone.normalize(images.to(self.device))

    def __call__(self, images: torch.Tensor, targets: list[Target]) -> Explained:
        """Logits and maps of uint8 images (N, 3, S, S)."""
        options = self.options
        return explain(
            self.model,
            self.backbone,
            self.normalize(images),
            targets,
            options.method,
            options.signed,
            options.layer,
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
    return explained.logits.float().cpu().numpy(), maps
