"""One pass over images: decode, predict, explain, draw and store, all at the same time."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import torch

from ..dataset.predictions import PredictionWriter
from ..explain.measures import measure
from ..explain.render import peak_of, render_heatmap, save_heatmap
from ..explain.signed import AGAINST
from ..images.away import is_away
from ..images.batches import Images
from ..images.geometry import Box, seen_box
from ..progress import Report
from ..review.scores import Scores, scores
from .explainer import Explainer, Maps, explain_batch
from .threads import keeping_num_threads

WORKERS = 8  # batches predicted side by side, at most
# A processor is fastest with few images at a time, whose activations stay in its cache: on two
# processors up to 1.5 x the speed of 16 at a time.
PROCESSOR_BATCH = 4
AHEAD = 8  # batches in work or waiting to be stored, for each worker
# Takes positions (n,) of images, pooled features (n, C), and the images as uint8 (n, 3, S, S).
Keep = Callable[[np.ndarray, np.ndarray, torch.Tensor], None]


@keeping_num_threads
def store_all(
    explainer: Explainer,
    images: Images,
    ids: list[str],
    labels: np.ndarray,
    writer: PredictionWriter,
    batch_size: int,
    report: Report,
    keep: Keep | None = None,
) -> None:
    """Decode, predict, explain, draw and store, everything at the same time.

    Each of some threads takes a batch from its files to its drawn heatmaps, with a share of the
    processors for its network: batches side by side wait for nothing, where the parts of one
    batch wait for each other. This thread stores what they bring, and they themselves give what the
    network saw to `keep`.

    Raises:
        ValueError: if no image has a prediction, for none can be decoded; nothing is stored then
    """
    processors = os.cpu_count() or 1
    workers = min(processors, WORKERS)
    later = _Spool(writer) if explainer.options.scale == "run" else None
    work = partial(_work, explainer, images, ids, labels, writer, keep, later is None)
    if explainer.device.type == "cpu":
        batch_size = min(batch_size, PROCESSOR_BATCH)
    chunks = (range(i, min(i + batch_size, len(ids))) for i in range(0, len(ids), batch_size))
    pool = ThreadPoolExecutor(
        workers,
        "gradcam-predict",
        initializer=torch.set_num_threads,
        initargs=(max(1, processors // workers),),
    )
    try:
        waiting = deque(pool.submit(work, chunk) for chunk in islice(chunks, AHEAD * workers))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(work, chunk) for chunk in islice(chunks, 1))
            if done.ids:
                writer.add_predictions(done.ids, done.logits, done.scores)
                if later is None:
                    _add(writer, done.drawn)
                else:
                    later.add(done)
                writer.flush_if_full()
            report(done.end, len(ids), f"{done.end} of {len(ids)}")
        if not writer.has_predictions:
            images.check_readable()
            raise ValueError("No image can be predicted. There are no samples")
        if later is not None:
            later.store(pool)
    finally:
        pool.shutdown(cancel_futures=True)
    away = [ids[i] for i, error in images.failures.items() if is_away(error)]
    writer.clear([ids[i] for i in images.failures if ids[i] not in set(away)])
    writer.finish(away)


@dataclass
class _Drawn:
    """What is stored of a heatmap; `stored` is None for a sample that gets none."""

    kind: str
    sample_id: str
    target: int
    stored: dict | None


@dataclass
class _Done:
    """A batch that has been predicted: the samples up to position `end`, less the undecodable."""

    end: int
    ids: list[str]
    logits: np.ndarray
    scores: Scores
    maps: Maps
    frames: np.ndarray
    boxes: list[Box]
    drawn: list[_Drawn]


def _work(
    explainer: Explainer,
    images: Images,
    ids: list[str],
    labels: np.ndarray,
    writer: PredictionWriter,
    keep: Keep | None,
    draw_now: bool,
    chunk: range,
) -> _Done:
    """Take a batch from its files to its drawn heatmaps."""
    batch = images.load(np.arange(chunk.start, chunk.stop))
    if not len(batch.positions):
        none = np.zeros((0, 0))
        return _Done(chunk.stop, [], none, None, Maps(), batch.frames, [], [])
    own = labels[batch.positions]
    kinds = [kind for kind in writer.heatmap_fields if not kind.startswith(AGAINST)]
    logits, maps, pooled = explain_batch(explainer, batch.images, own, kinds)
    if keep is not None:
        keep(batch.positions, pooled, batch.images)
    batch_ids = [ids[i] for i in batch.positions]
    boxes = [seen_box(explainer.resize, *map(int, frame)) for frame in batch.frames]
    done = _Done(chunk.stop, batch_ids, logits, scores(logits, own), maps, batch.frames, boxes, [])
    if draw_now:
        pair = explainer.options.scale == "pair" and maps.cams
        _draw_all(writer, done, maps.peaks() if pair else None)
    return done


def _draw_all(writer: PredictionWriter, done: _Done, peaks: np.ndarray | None) -> _Done:
    """Draw the heatmaps of a batch, by one factor for each sample or by their own peaks."""
    for kind in writer.heatmap_fields:
        shown, sign = kind.removeprefix(AGAINST), -1 if kind.startswith(AGAINST) else 1
        for row, sample_id in enumerate(done.ids):
            target, stored = int(done.maps.classes[shown][row]), None
            if target >= 0:
                stored = _draw(
                    writer,
                    kind,
                    sample_id,
                    sign * done.maps.cams[shown][row],
                    done.frames[row],
                    done.boxes[row],
                    None if peaks is None else float(peaks[row]),
                )
            done.drawn.append(_Drawn(kind, sample_id, target, stored))
    return done


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


def _add(writer: PredictionWriter, drawn: list[_Drawn]) -> None:
    for one in drawn:
        if one.stored is None:
            writer.add_no_heatmap(one.kind, one.sample_id)
        else:
            target = writer.run.classes[one.target]
            writer.add_heatmap(one.kind, one.sample_id, target=target, **one.stored)


class _Spool:
    """Maps on disk until the largest peak of all is known, so that memory does not grow."""

    def __init__(self, writer: PredictionWriter):
        self.writer = writer
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as this)
        self.largest = 0.0

    def add(self, done: _Done) -> None:
        """Keep the maps of a batch."""
        pickle.dump(done, self.file)
        if done.maps.cams:
            self.largest = max(self.largest, float(done.maps.peaks().max()))

    def store(self, pool: ThreadPoolExecutor) -> None:
        """Draw and store everything."""
        end = self.file.tell()
        self.file.seek(0)
        batches = (pickle.load(self.file) for _ in iter(lambda: self.file.tell() < end, False))
        draw = partial(_draw_all, self.writer)
        waiting: deque = deque()
        for done in batches:
            waiting.append(pool.submit(draw, done, np.full(len(done.ids), self.largest)))
            if len(waiting) > WORKERS:
                _add(self.writer, waiting.popleft().result().drawn)
                self.writer.flush_if_full()
        for last in waiting:
            _add(self.writer, last.result().drawn)
        self.file.close()
