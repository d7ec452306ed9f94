"""Predictions, scores and heatmaps, in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import fiftyone as fo
import numpy as np
import torch

from ..dataset import fields, runs
from ..dataset.predictions import PredictionWriter
from ..explain.cam import Explained, grad_cam
from ..explain.measures import measure
from ..explain.render import render_heatmap, save_heatmap
from ..images.batches import Images
from ..model.backbones import get_backbone
from ..model.training import pick_device
from ..review.scores import Scores, scores
from .progress import Progress, Report, reporting, some, tell_failures
from .training import class_indexes

HEATMAPS = ("predicted", "label")


def predict(
    samples: fo.core.collections.SampleCollection,
    run: runs.Run | str,
    prediction_field: str = "prediction",
    heatmaps: Sequence[str] = ("predicted",),
    heatmap_field: str = "gradcam",
    label_field: str | None = None,
    batch_size: int = 16,
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress = None,
) -> fo.DatasetView:
    """Store predictions, scores and Grad-CAM heatmaps, in one pass over the images.

    Written are `prediction` (label, confidence, logits, label_score, margin, entropy),
    `prediction_scores` (all class probabilities, in the order of the run's classes), `gradcam`
    (heatmap of the predicted class), and on request `gradcam_label` (of the sample's own label).
    Images that cannot be decoded are named, and get none of these.

    Args:
        samples: a dataset or view
        run: a run, or its key
        prediction_field: field for the predictions; its scores go to `<field>_scores`
        heatmaps: which maps to make: any of "predicted" and "label", or none
        heatmap_field: field for the maps; those of the own label go to `<field>_label`
        label_field: the samples' own labels; None takes the field that the run was trained on
        batch_size: images per forward pass
        overwrite: also replace fields that this plugin did not write
        device: such as "cpu" or "cuda"; None takes the best at hand
        progress: see `import_folders`

    Returns:
        the samples that have a prediction now

    Raises:
        ValueError: if there is no such run, if it knows none of the samples' classes, if a field
            is taken, if no image can be decoded, or if an argument is not understood
        FileNotFoundError: if the run's checkpoint is gone
    """
    dataset = fields.root_dataset(samples)
    run = runs.load_run(dataset, run)
    heatmaps = (heatmaps,) if isinstance(heatmaps, str) else heatmaps
    if unknown := sorted(set(heatmaps) - set(HEATMAPS)):
        raise ValueError(f"heatmaps may be any of {', '.join(HEATMAPS)}, not {unknown[0]!r}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number of at least 1, not {batch_size!r}")
    names = {"predicted": heatmap_field, "label": f"{heatmap_field}_label"}
    names = {kind: names[kind] for kind in HEATMAPS if kind in heatmaps}
    label_field, labels = _own_labels(samples, run, label_field)
    writer = PredictionWriter(
        dataset, run, prediction_field, names, label_field, overwrite=overwrite
    )
    ids, paths = samples.values(["id", "filepath"])
    images = Images(paths, run.recipe["image_size"])
    classifier = _Classifier(run, device)
    with reporting(progress, f"Predicting {len(ids)} images with {run.key!r}") as report:
        try:
            _one_pass(classifier, images, ids, labels, writer, batch_size, report)
        except BaseException:  # what was stored so far stays
            writer.abandon()
            raise
    tell_failures(images.failures)
    # Two heatmaps over each other would say nothing: the first kind is shown.
    fields.show_fields(dataset, [prediction_field, *list(names.values())[:1]])
    return samples.exists(prediction_field)


def _own_labels(
    samples: fo.core.collections.SampleCollection, run: runs.Run, label_field: str | None
) -> tuple[str, np.ndarray]:
    """The field of the samples' own labels, and their class indexes, -1 where there is none."""
    dataset = fields.root_dataset(samples)
    if label_field is None and dataset.get_field(run.label_field) is None:
        return run.label_field, np.full(len(samples), -1, np.int64)  # nothing is labelled yet
    label_field = label_field or run.label_field
    _, _, labels = fields.labels_of(samples, label_field)
    indexes = class_indexes(labels, run.classes)
    strangers = sorted({x for x in labels if x is not None} - set(run.classes))
    if strangers and (indexes < 0).all():
        raise ValueError(
            f"Run {run.key!r} was trained on other classes ({some(run.classes)}) than "
            f"{label_field!r} holds ({some(strangers)}). Choose another run, or another "
            f"label_field"
        )
    if strangers:
        count = sum(label in set(strangers) for label in labels)
        print(
            f"{count} samples are of classes that run {run.key!r} does not know, and get no "
            f"label_score: {some(strangers)}"
        )
    return label_field, indexes


class _Classifier:
    """A run's network on a device, ready to predict and explain."""

    def __init__(self, run: runs.Run, device: str | None):
        self.backbone = get_backbone(run.recipe["backbone"])
        self.device = pick_device(device)
        self.model = run.load_model().to(self.device, memory_format=torch.channels_last)

    def __call__(self, images: torch.Tensor, targets: list[torch.Tensor | None]) -> Explained:
        return grad_cam(
            self.model, self.backbone, self.backbone.normalize(images.to(self.device)), targets
        )


def _one_pass(
    classifier: _Classifier,
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
    kinds, total = list(writer.heatmap_fields), len(ids)
    store: Callable[[], None] | None = None
    with ThreadPoolExecutor(images.workers, thread_name_prefix="heatmap") as pool:
        for batch in images.batches(batch_size):
            own = labels[batch.positions]
            targets = [None if kind == "predicted" else torch.from_numpy(own) for kind in kinds]
            explained = classifier(batch.images, targets)
            logits = explained.logits.float().cpu().numpy()
            found = scores(logits, own)
            batch_ids = [ids[i] for i in batch.positions]
            shown = {"predicted": found.predicted, "label": own}
            drawn = {
                kind: [
                    pool.submit(_draw, cam, frame, writer.heatmap_path(kind, sample_id))
                    if target >= 0
                    else None
                    for cam, frame, sample_id, target in zip(
                        cams.cpu().numpy(), batch.frames, batch_ids, shown[kind], strict=True
                    )
                ]
                for kind, cams in zip(kinds, explained.maps, strict=True)
            }
            if store is not None:
                store()
            store = partial(_store, writer, batch_ids, logits, found, drawn, shown, classifier)
            report(int(batch.positions[-1]) + 1, total, f"{batch.positions[-1] + 1} of {total}")
        if store is None:
            reasons = "; ".join(str(error) for error in list(images.failures.values())[:3])
            raise ValueError(f"No image can be predicted. {reasons or 'There are no samples'}")
        store()
    writer.clear([ids[i] for i in images.failures])
    writer.flush()


def _draw(cam: np.ndarray, frame: np.ndarray, path: str) -> dict:
    """Write a heatmap's file; returns its path and what is stored beside it."""
    pixels, peak = render_heatmap(cam, int(frame[0]), int(frame[1]))
    save_heatmap(pixels, path)
    found = measure(cam)
    return {
        "path": path,
        "peak": peak,
        "focus": found and found.focus,
        "centroid": found and list(found.centroid),
        "border": found and found.border,
    }


def _store(
    writer: PredictionWriter,
    ids: list[str],
    logits: np.ndarray,
    found: Scores,
    drawn: dict[str, list[Future | None]],
    shown: dict[str, np.ndarray],
    classifier: _Classifier,
) -> None:
    writer.add_predictions(ids, logits, found)
    for kind, pictures in drawn.items():
        for sample_id, picture, target in zip(ids, pictures, shown[kind], strict=True):
            if picture is None:
                writer.add_no_heatmap(kind, sample_id)
            else:
                writer.add_heatmap(
                    kind,
                    sample_id,
                    target=writer.run.classes[target],
                    method="gradcam",
                    layer=classifier.backbone.family.layer,
                    **picture.result(),
                )
    writer.flush_if_full()
