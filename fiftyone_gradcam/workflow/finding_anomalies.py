"""Find images that differ from normal images, with a model of normal images only."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ..dataset import fields, shown
from ..dataset.anomalies import AnomalyMaps, write_anomalies
from ..dataset.appearance import BATCH
from ..dataset.basis import Snapshot
from ..dataset.features import features_of
from ..dataset.import_record import decode_options
from ..dataset.pretrained import pick_backbone
from ..dataset.writing import exclusive
from ..images.batches import Images
from ..jobs.delegating import delegable
from ..passes.unusual import NormalCells
from ..progress import Progress, report_failures, reporting
from ..review.anomalies import LEAST_NORMAL, find_anomalies_in
from ..similar import did_you_mean
from ..training.frozen import frozen_network
from ..training.recipes import make_recipe

NEEDS = "without pretrained weights, anomalies cannot be found"


@delegable
@exclusive
def find_anomalies(
    samples: fo.core.collections.SampleCollection,
    normal: str | fo.DatasetView,
    label_field: str = "ground_truth",
    false_alarms: float = 0.05,
    heatmaps: bool = True,
    backbone: str | None = None,
    weights: str | None = None,
    resize: str | None = None,
    anomaly_field: str = "anomaly",
    heatmap_field: str = "anomaly_map",
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
) -> fo.DatasetView:
    """Score how different each image is from normal images, and show the unusual regions.

    A one-class SVM is fitted on the features of normal images only; the labels of other images are
    not used. Two fields are written: `anomaly` ("anomaly" or "normal", with `score`, and with
    `false_alarm`, the fraction of normal images that are at least as unusual), and `anomaly_map`,
    the distance of each image region from the nearest region of a normal image. A normal image is
    compared with other normal images, not with itself.

    Args:
        samples: a dataset or view
        normal: a label in `label_field`, or a view of the same dataset, with at least 20 images
        label_field: field with the labels of the samples
        false_alarms: fraction of normal images that are classified as anomalies, in (0, 0.5]; it
            sets the threshold
        heatmaps: also write heatmaps of the unusual regions
        backbone, weights: the pretrained network whose features are compared; see
            `find_label_issues`
        resize: how images are resized for a pretrained backbone: "squash" (the default), "crop" or
            "letterbox"
        anomaly_field, heatmap_field: fields to write
        overwrite: also replace fields that this plugin did not write
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        a view of the judged samples, most unusual first

    Raises:
        ValueError: if there are fewer than 20 normal images, or an argument is invalid
        FileNotFoundError, ConnectionError: if the weights file does not exist, or ImageNet weights
            are not cached and cannot be downloaded
    """
    samples = fields.whole(samples)
    dataset = fields.root_dataset(samples)
    if isinstance(false_alarms, bool) or not isinstance(false_alarms, int | float):
        raise ValueError(f"false_alarms must be a number, not {false_alarms!r}")
    if not 0 < false_alarms <= 0.5:
        raise ValueError(f"false_alarms must be above 0 and at most 0.5, not {false_alarms!r}")
    kinds = {anomaly_field: fo.Classification}
    if heatmaps:
        kinds[heatmap_field] = fo.Heatmap
    fields.check_writable(dataset, kinds, overwrite)
    basis = _basis(dataset, normal, label_field)
    normal_ids, words = _normal_ids(dataset, normal, label_field)
    _check_enough(len(normal_ids))
    ids, paths = samples.values(["id", "filepath"])
    others = dataset.select(sorted(normal_ids - set(ids))).values(["id", "filepath"])
    asked, ids, paths = len(ids), [*ids, *others[0]], [*paths, *others[1]]
    backbone, weights = pick_backbone(dataset, backbone, weights, NEEDS)
    recipe = make_recipe(backbone=backbone, weights=weights, resize=resize or "squash")
    if recipe.from_scratch:
        raise ValueError(
            f"Anomalies are found by features of a pretrained network, but {backbone} has "
            f"weights={weights!r}. Choose weights or another backbone"
        )
    network = frozen_network(recipe, device)
    images = Images(
        paths, recipe.image_size, resize=recipe.resize, decode_options=decode_options(dataset)
    )
    with reporting(progress, f"Comparing {len(ids)} images with {words} by {backbone}") as report:
        features = features_of(dataset, ids, images, network, report)
        images.check_readable()
        places = np.flatnonzero(np.isfinite(features).all(1))
        is_normal = np.array([ids[i] in normal_ids for i in places])
        _check_enough(int(is_normal.sum()))
        found = find_anomalies_in(features[places], is_normal, false_alarms)
        rows = {ids[place]: row for row, place in enumerate(places.tolist()) if place < asked}
        facts = {
            "normal": words,
            "label_field": label_field,
            "threshold": found.threshold,
            "false_alarms": false_alarms,
            "backbone": backbone,
            "fields": list(kinds),
            **basis,
        }
        if heatmaps:
            cells = NormalCells(network, images, places[is_normal], BATCH, report)
            maps = AnomalyMaps(dataset, heatmap_field, ids, recipe.resize)
            with maps.keeping():
                cells.draw(places[places < asked], maps.draw, report)
                write_anomalies(dataset, ids[:asked], rows, found, anomaly_field, facts, maps)
        else:
            write_anomalies(dataset, ids[:asked], rows, found, anomaly_field, facts)
    shown.show_fields(dataset, list(kinds))
    report_failures(images.failures)
    judged = found.anomalous[[row for row in rows.values() if not is_normal[row]]]
    print(
        f"{judged.sum()} of {len(judged)} images that are not among {words} are anomalies; of "
        f"{is_normal.sum()} normal images, {found.anomalous[is_normal].sum()} are anomalies "
        f"(threshold {found.threshold:.3g})"
    )
    return samples.exists(anomaly_field).sort_by(f"{anomaly_field}.score", reverse=True)


def _basis(dataset: fo.Dataset, normal, label_field: str) -> dict:
    """The labels that the scores depend on, to be stored with them; empty if `normal` is a view."""
    if not isinstance(normal, str) or dataset.get_field(label_field) is None:
        return {}
    return {"basis": {"label": normal, "normal": Snapshot(dataset, label_field).named(normal)}}


def _check_enough(count: int) -> None:
    if count < LEAST_NORMAL:
        raise ValueError(
            f"{count} normal images are too few: at least {LEAST_NORMAL} are needed. Choose "
            f"another label or view as normal"
        )


def _normal_ids(dataset: fo.Dataset, normal, label_field: str) -> tuple[set[str], str]:
    """Ids of the normal images, and their description in words."""
    if isinstance(normal, str):
        ids, _, labels = fields.labels_of(dataset, label_field)
        known = sorted({label for label in labels if label})
        if normal not in known:
            raise ValueError(
                f"No sample has the label {normal!r} in {label_field!r}. "
                f"{did_you_mean(normal, known)}Its labels: {', '.join(known) or 'none'}"
            )
        return {i for i, label in zip(ids, labels, strict=True) if label == normal}, repr(normal)
    if not isinstance(normal, fo.core.collections.SampleCollection):
        raise TypeError(f"normal must be a label or a view, not {type(normal).__name__}")
    if fields.root_dataset(normal).name != dataset.name:
        raise ValueError(
            f"normal is a view of {fields.root_dataset(normal).name!r}, not of {dataset.name!r}"
        )
    return set(normal.values("id")), "the normal images"
