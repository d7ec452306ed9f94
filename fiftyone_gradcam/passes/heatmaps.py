"""Heatmaps of a pass: compute, draw and measure the maps of each batch, and write them to files."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from ..explain.cam import PREDICTED, RUNNER_UP, Target
from ..explain.drawing import Frames, draw, measure_all, peaks_of, png_rows
from ..explain.methods import check_method
from ..explain.render import HeatmapOptions, heatmap_size, save_rows
from ..explain.signed import AGAINST
from ..images.geometry import seen_box
from .seen import Seen
from .sinks import Sink

LABEL = "label"
CONTRAST = "contrast"
KINDS = (PREDICTED, LABEL, RUNNER_UP, CONTRAST)
DRAWERS = 4  # threads that draw maps after the pass, if the scale is that of the run


@dataclass(frozen=True)
class Heatmap:
    """A heatmap of an image.

    Attributes:
        kind: one of the kinds of `Heatmaps`
        target: index of the class that it explains
        stored: what is stored with the sample: "map_path" or "map", "peak", "focus", "centroid" and
            "border"; None if the image has no heatmap of this kind
    """

    kind: str
    target: int
    stored: dict | None


class Heatmaps(Sink):
    """Draws and writes heatmaps, and passes what is to be stored on.

    Args:
        kinds: any of `KINDS`, "class:<name>", and "against:<kind>" for signed maps
        options: heatmap options
        classes: names of the network's classes
        labels: (N,) class index of each image, -1 for none
        resize: how images are resized for the network
        path_of: (kind, position) -> the file of a heatmap
        add: called with positions (n,) and the heatmaps of each
    """

    splits = True

    def __init__(
        self,
        kinds: Sequence[str],
        options: HeatmapOptions,
        classes: Sequence[str],
        labels: np.ndarray,
        resize: str,
        path_of: Callable[[str, int], str],
        add: Callable[[np.ndarray, list[list[Heatmap]]], None],
    ):
        self.kinds, self.options, self.labels, self.resize = list(kinds), options, labels, resize
        self.path_of, self.add = path_of, add
        method = check_method(options.method)
        self.explains, self.cellwise = method.explains and bool(self.kinds), method.cellwise
        self.own = [kind for kind in self.kinds if not kind.startswith(AGAINST)]
        self.wanted = [kind for kind in self.own if kind != CONTRAST]
        if CONTRAST in self.own:
            self.wanted += [kind for kind in (PREDICTED, LABEL) if kind not in self.wanted]
        self.indexes = {
            kind: list(classes).index(kind.removeprefix("class:"))
            for kind in self.wanted
            if kind.startswith("class:")
        }
        self.waiting = _Waiting() if options.scale == "run" else None

    def compute(self, seen: Seen) -> dict:
        """Compute maps and their classes (see `Sink`).

        They are also drawn and measured, unless the scale is that of the run, which is not known
        yet.
        """
        if not self.kinds:
            return {}
        maps, classes = self._maps(seen)
        # The second picture of a signed map shows the evidence against the class.
        signs = [-1 if kind.startswith(AGAINST) else 1 for kind in self.kinds]
        names = [kind.removeprefix(AGAINST) for kind in self.kinds]
        cams = torch.stack(
            [sign * maps[name] for sign, name in zip(signs, names, strict=True)]
        ).float()
        found = {"cams": cams, "classes": torch.stack([classes[name] for name in names])}
        if self.waiting is None:
            peaks = None
            if self.options.scale == "pair":
                peaks = torch.stack([peaks_of(one.float()) for one in maps.values()]).amax(0)
            found |= self._drawn(cams, seen.frames, peaks)
            del found["cams"]
        else:
            found["largest"] = torch.stack([peaks_of(x.float()).amax() for x in maps.values()])
        return found

    def _maps(self, seen: Seen) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return maps (n, h, w) and classes (n,), -1 for none, by kind."""
        own = torch.from_numpy(self.labels[seen.positions])
        targets: list[Target] = []
        for kind in self.wanted:
            if kind == LABEL:
                targets.append(own)
            elif kind in self.indexes:
                targets.append(torch.full_like(own, self.indexes[kind]))
            else:
                targets.append(kind)
        found = seen.forward.maps(targets, self.options.method, self.options.signed)
        maps, classes = (dict(zip(self.wanted, each, strict=True)) for each in found)
        if CONTRAST in self.own:
            predicted, own = classes[PREDICTED], own.to(seen.pixels.device)
            maps[CONTRAST] = maps[PREDICTED] - maps[LABEL]
            differs = (own >= 0) & (own != predicted)
            classes[CONTRAST] = torch.where(differs, predicted, torch.full_like(predicted, -1))
        return maps, classes

    def _drawn(self, cams: torch.Tensor, frames: np.ndarray, peaks: torch.Tensor | None) -> dict:
        """Draw and measure maps (kinds, n, h, w) in one batch."""
        kinds, count = cams.shape[:2]
        cams = cams.flatten(0, 1)
        own = peaks_of(cams)
        peaks = own if peaks is None else peaks.repeat(kinds)
        boxes = [seen_box(self.resize, *map(int, frame)) for frame in frames] * kinds
        sizes = _sizes(frames, self.options.resolution) * kinds
        grid = cams.shape[2], cams.shape[1]
        placed = Frames(grid, sizes, boxes, self.options.interpolation, cams.device)
        pixels = draw(cams, placed, peaks)
        as_files = self.options.storage == "file"
        parts = {
            "pixels": png_rows(pixels) if as_files else pixels,
            "peaks": own,
            "measures": measure_all(cams, boxes),
        }
        return {name: part.unflatten(0, (kinds, count)) for name, part in parts.items()}

    def write(self, positions: np.ndarray, frames: np.ndarray, found: dict) -> object:
        """Write files, and return what is stored of each heatmap (see `Sink`)."""
        found = {name: one.numpy() for name, one in found.items()}
        if not found or self.waiting is not None:
            return found and (frames, found)
        return self._all_written(positions, frames, found)

    def _all_written(
        self, positions: np.ndarray, frames: np.ndarray, found: dict
    ) -> list[list[Heatmap]]:
        sizes = _sizes(frames, self.options.resolution)
        return [
            [
                self._written(place, kind, row, int(position), sizes[row], found)
                for place, kind in enumerate(self.kinds)
            ]
            for row, position in enumerate(positions)
        ]

    def _written(
        self, place: int, kind: str, row: int, position: int, size: tuple[int, int], found: dict
    ) -> Heatmap:
        target = int(found["classes"][place, row])
        if target < 0:
            return Heatmap(kind, target, None)
        width, height = size
        pixels = found["pixels"][place, row]
        if self.options.storage == "file":
            path = self.path_of(kind, position)
            save_rows(pixels[:height, : width + 1], path)
            stored: dict = {"map_path": path}
        else:
            stored = {"map": pixels[:height, :width].copy()}
        focus, x, y, border = (
            None if np.isnan(one) else float(one) for one in found["measures"][place, row]
        )
        stored["peak"] = float(found["peaks"][place, row])
        stored |= {"focus": focus, "centroid": None if x is None else [x, y], "border": border}
        return Heatmap(kind, target, stored)

    def take(self, positions: np.ndarray, value: object) -> None:
        """See `Sink`."""
        if self.waiting is None:
            self.add(positions, value or [[] for _ in positions])
        elif value:
            self.waiting.add(positions, *value)

    def finish(self) -> None:
        """Draw the maps that waited for the scale of the run."""
        if self.waiting is None:
            return
        largest = self.waiting.largest

        def drawn(waiting: tuple) -> tuple[np.ndarray, list[list[Heatmap]]]:
            positions, frames, found = waiting
            peaks = torch.full((len(positions),), largest)
            parts = self._drawn(torch.from_numpy(found["cams"]), frames, peaks)
            parts = {name: one.numpy() for name, one in parts.items()}
            return positions, self._all_written(positions, frames, found | parts)

        with ThreadPoolExecutor(DRAWERS, "gradcam-draw") as pool:
            for positions, heatmaps in _few_ahead(pool, drawn, self.waiting.batches()):
                self.add(positions, heatmaps)


def _sizes(frames: np.ndarray, resolution: int) -> list[tuple[int, int]]:
    return [heatmap_size(int(width), int(height), resolution) for width, height in frames]


def _few_ahead(pool: ThreadPoolExecutor, work: Callable, items) -> object:
    """Yield results in order, with only a few computed ahead."""
    waiting: list = []
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > 2 * DRAWERS:
            yield waiting.pop(0).result()
    for one in waiting:
        yield one.result()


class _Waiting:
    """Stores maps on disk until the largest peak is known, so that memory does not grow."""

    def __init__(self):
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as this)
        self.largest = 0.0

    def add(self, positions: np.ndarray, frames: np.ndarray, found: dict) -> None:
        """Store the maps of a batch."""
        self.largest = max(self.largest, float(found.pop("largest").max()))
        pickle.dump((positions, frames, found), self.file)

    def batches(self):
        """Yield the stored batches in order."""
        end = self.file.tell()
        self.file.seek(0)
        while self.file.tell() < end:
            yield pickle.load(self.file)
        self.file.close()
