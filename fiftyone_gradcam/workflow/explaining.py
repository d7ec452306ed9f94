"""One pass over images: decode, predict, explain, draw and store, all at the same time."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from ..dataset.predictions import PredictionWriter
from ..dataset.runs import Run
from ..explain.cam import PREDICTED, RUNNER_UP, Explained, Target, explain
from ..explain.measures import measure
from ..explain.render import HeatmapOptions, peak_of, render_heatmap, save_heatmap
from ..images.batches import Images
from ..images.geometry import Box, seen_box
from ..model.backbones import get_backbone
from ..model.training import pick_device
from ..review.scores import scores
from .progress import Report

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
        self.model = run.load_model().to(self.device, memory_format=torch.channels_last)
        self.layer = options.layer or self.backbone.family.layer

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


def store_all(
    explainer: Explainer,
    images: Images,
    ids: list[str],
    labels: np.ndarray,
    writer: PredictionWriter,
    batch_size: int,
    report: Report,
) -> None:
    """Decode, predict, explain and store; while one batch is drawn the next is predicted.

    Raises:
        ValueError: if no image can be decoded; nothing is stored then
    """
    total = len(ids)
    waiting: Callable[[], None] | None = None
    with ThreadPoolExecutor(images.workers, thread_name_prefix="heatmap") as pool:
        later = _Spool(writer) if explainer.options.scale == "run" else None
        for batch in images.batches(batch_size):
            own = labels[batch.positions]
            logits, maps = explain_batch(explainer, batch.images, own, list(writer.heatmap_fields))
            batch_ids = [ids[i] for i in batch.positions]
            boxes = [seen_box(explainer.resize, *map(int, frame)) for frame in batch.frames]
            if later is not None:
                later.add(batch_ids, maps, batch.frames, boxes)
                drawn: list[_Drawn] = []
            else:
                pair = explainer.options.scale == "pair" and maps.cams
                peaks = maps.peaks() if pair else None
                drawn = _draw_batch(pool, writer, batch_ids, maps, batch.frames, boxes, peaks)
            if waiting is not None:
                waiting()
            waiting = partial(_store, writer, batch_ids, logits, own, drawn)
            report(int(batch.positions[-1]) + 1, total, f"{batch.positions[-1] + 1} of {total}")
        if waiting is None:
            reasons = "; ".join(str(error) for error in list(images.failures.values())[:3])
            raise ValueError(f"No image can be predicted. {reasons or 'There are no samples'}")
        waiting()
        if later is not None:
            later.store(pool)
    writer.clear([ids[i] for i in images.failures])
    writer.flush()


@dataclass
class _Drawn:
    """A heatmap that is being drawn; `result` is None for a sample that gets none."""

    kind: str
    sample_id: str
    target: int
    result: Future | None


def _draw_batch(
    pool: ThreadPoolExecutor,
    writer: PredictionWriter,
    ids: list[str],
    maps: Maps,
    frames: np.ndarray,
    boxes: list[Box],
    peaks: np.ndarray | None,
) -> list[_Drawn]:
    drawn = []
    for kind in writer.heatmap_fields:
        for row, sample_id in enumerate(ids):
            target, result = int(maps.classes[kind][row]), None
            if target >= 0:
                result = pool.submit(
                    _draw,
                    writer,
                    kind,
                    sample_id,
                    maps.cams[kind][row],
                    frames[row],
                    boxes[row],
                    None if peaks is None else float(peaks[row]),
                )
            drawn.append(_Drawn(kind, sample_id, target, result))
    return drawn


def _draw(
    writer: PredictionWriter,
    kind: str,
    sample_id: str,
    cam: np.ndarray,
    frame: np.ndarray,
    box: Box,
    peak: float | None,
) -> dict:
    """Draw a heatmap, write its file if it is to be one, and return what is stored of it."""
    options = writer.options
    pixels = render_heatmap(
        cam,
        int(frame[0]),
        int(frame[1]),
        box,
        peak,
        options.signed or kind == CONTRAST,
        options.resolution,
        options.interpolation,
    )
    if options.storage == "file":
        path = writer.heatmap_path(kind, sample_id)
        save_heatmap(pixels, path)
        stored: dict = {"map_path": path}
    else:
        stored = {"map": pixels}
    found = measure(cam, box)
    return {
        **stored,
        "peak": peak_of(cam),
        "focus": found and found.focus,
        "centroid": found and list(found.centroid),
        "border": found and found.border,
    }


def _store(
    writer: PredictionWriter,
    ids: list[str],
    logits: np.ndarray,
    own: np.ndarray,
    drawn: list[_Drawn],
) -> None:
    writer.add_predictions(ids, logits, scores(logits, own))
    _add(writer, drawn)
    writer.flush_if_full()


def _add(writer: PredictionWriter, drawn: list[_Drawn]) -> None:
    for one in drawn:
        if one.result is None:
            writer.add_no_heatmap(one.kind, one.sample_id)
        else:
            target = writer.run.classes[one.target]
            writer.add_heatmap(one.kind, one.sample_id, target=target, **one.result.result())


class _Spool:
    """Maps on disk until the largest peak of all is known, so that memory does not grow."""

    def __init__(self, writer: PredictionWriter):
        self.writer = writer
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as this)
        self.largest = 0.0

    def add(self, ids: list[str], maps: Maps, frames: np.ndarray, boxes: list[Box]) -> None:
        """Keep the maps of a batch."""
        pickle.dump((ids, maps, frames, boxes), self.file)
        if maps.cams:
            self.largest = max(self.largest, float(maps.peaks().max()))

    def store(self, pool: ThreadPoolExecutor) -> None:
        """Draw and store everything."""
        end = self.file.tell()
        self.file.seek(0)
        while self.file.tell() < end:
            ids, maps, frames, boxes = pickle.load(self.file)
            peaks = np.full(len(ids), self.largest)
            _add(self.writer, _draw_batch(pool, self.writer, ids, maps, frames, boxes, peaks))
            self.writer.flush_if_full()
        self.file.close()
