"""Explain the prediction of a network for one image, immediately and without a pass over the
dataset."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np
import torch
from bson import ObjectId

from ..dataset import fields, runs
from ..dataset.classifiers import find_classifier, way_before
from ..dataset.evidence import issue_words
from ..dataset.feature_sources import source_of
from ..dataset.heatmaps import heatmap_fields
from ..dataset.import_record import decode_options
from ..dataset.kept_neighbors import nearest_kept
from ..dataset.pretrained import cached_backbone
from ..dataset.ready_networks import ready_network
from ..dataset.review_state import Columns, columns_of, default_label_field, label_in
from ..dataset.run import Run, pretrained
from ..explain.cam import PREDICTED
from ..explain.contrast import DIFFERENCE, contrast
from ..explain.explanation import ClassMap, ContrastMap, Explanation, Neighbor
from ..explain.measures import measure
from ..explain.methods import check_method
from ..explain.sentences import neighbor_words, prediction_words, seen_words, split_words
from ..images.batches import Images
from ..images.geometry import RESIZES, Box, seen_box
from ..model.network import Network
from ..passes.one import see_one
from ..passes.seen import Seen
from ..similar import did_you_mean

NEIGHBORS = 6
TRAIN = "train"
SLOW = "scorecam"


def explain_sample(
    sample: fo.Sample,
    run: Run | Network | str | None = None,
    classes: Sequence[str] = (),
    against: str | None = None,
    prediction_field: str = "prediction",
    label_field: str | None = None,
    weights: str | None = None,
    method: str | None = None,
    way: str = DIFFERENCE,
    neighbors: int = NEIGHBORS,
    device: str | None = None,
) -> Explanation:
    """Explain a prediction for one image.

    The explanation has probabilities, heatmaps, a contrast of two classes, the most similar images,
    and the evidence in words. Nothing is stored. The network stays in memory, so that further
    samples take a fraction of a second. Values are the same as those that `predict` stores.

    Args:
        sample: a sample of a dataset, such as `dataset.first()`
        run: a run or its key, the name of a pretrained backbone, or a `Network`; by default (None),
            the classifier that made the predictions in `prediction_field`, or else the newest run
        classes: additional classes to compute heatmaps of
        against: class to compare the predicted class with; by default (None), the label if it is
            another class, else the second most probable class
        prediction_field: field with the predictions to explain
        label_field: field with the label of the sample; by default (None), the field that the
            predictions were compared with
        weights: weights of a pretrained backbone: "imagenet" (the default), or the path of a
            weights file
        method: method of the heatmaps, as in `predict`; by default (None), the method of the stored
            heatmaps, or "gradcam" if there are none or they are from Score-CAM, which is slow
        way: how the contrast is computed: "difference" or "finercam" (see
            `fiftyone_gradcam.explain.contrast.contrast`)
        neighbors: number of similar images to find, at least 0; only training images if there are
            samples tagged "train". Only stored features are used
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one

    Returns:
        the `Explanation`; its heatmaps are arrays, and `picture(label)` draws one over the image

    Raises:
        TypeError: if `sample` is not a sample of a dataset
        ValueError: if there is no network or no such class, or the file cannot be decoded
        FileNotFoundError: if the checkpoint of the run or the weights file does not exist
        ConnectionError: if ImageNet weights are not cached and cannot be downloaded
    """
    dataset = _dataset_of(sample)
    if isinstance(neighbors, bool) or not isinstance(neighbors, int) or neighbors < 0:
        raise ValueError(f"neighbors must be a whole number of at least 0, not {neighbors!r}")
    classifier, notes = _classifier(dataset, run, prediction_field, weights)
    stored = _stored_options(dataset, prediction_field, classifier)
    if method is None:
        method = stored.get("method") if stored.get("method") != SLOW else None
    method = method or "gradcam"
    cellwise = check_method(method).cellwise
    network = ready_network(dataset, classifier, stored.get("layer"), device)
    for name in [*classes, *filter(None, [against])]:
        _check_class(name, network.classes, classifier.key)
    info = fields.field_info(dataset, prediction_field)
    given_field = label_field is not None
    label_field = label_field or info.get("label_field") or default_label_field(dataset)
    is_there = label_field in fields.label_fields(dataset) or given_field
    columns = columns_of(dataset, label_field) if is_there else None
    row = dataset._sample_collection.find_one({"_id": ObjectId(sample.id)})
    label = label_in(row, columns) if columns else None
    resize = network.resize
    images = Images([sample.filepath], network.image_size, 0, 1, resize, decode_options(dataset))
    seen = see_one(network, images, cellwise)
    width, height = map(int, seen.frames[0])
    box = seen_box(resize, width, height)
    logits = seen.logits[0].double().cpu()
    probabilities = logits.softmax(0).float().numpy()
    order = np.argsort(-probabilities, kind="stable")
    predicted = network.classes[order[0]]
    maps = _maps(seen, method, box, [predicted, label, *classes], probabilities, logits)
    other = against or (label if label in network.classes and label != predicted else None)
    other = other or network.classes[order[1]]
    near, they_are = _neighbors(dataset, seen, classifier, row, columns, neighbors)
    own = float(probabilities[network.classes.index(label)]) if label in network.classes else None
    top = [(network.classes[i], float(probabilities[i])) for i in order[:2]]
    said = (row.get(prediction_field) or {}).get("label") if run is None and info else predicted
    if said is not None and said != predicted:
        notes.append(
            f"The stored prediction is {said!r}: the file or the network has changed since then. "
            f"Predict again."
        )
    words = [
        *prediction_words(top, label, own, label_field),
        *(issue_words(row, columns) if columns else []),
        *(split_words(row.get("tags") or ()) if classifier.basis else []),
        *maps[0].words,
        *neighbor_words([x.label for x in near], they_are, predicted),
        *seen_words(box),
    ]
    return Explanation(
        sample_id=str(sample.id),
        filepath=sample.filepath,
        width=width,
        height=height,
        box=box,
        run=classifier.key,
        method=method,
        layer=network.layer,
        classes=tuple(network.classes),
        probabilities=probabilities,
        predicted=predicted,
        label=label,
        label_field=label_field,
        maps=maps,
        contrast=_contrast(seen, predicted, other, way, method),
        neighbors=tuple(near),
        neighbors_are=they_are,
        words=tuple(words),
        notes=tuple(notes),
    )


def _dataset_of(sample: fo.Sample) -> fo.Dataset:
    if not isinstance(sample, fo.Sample | fo.core.sample.SampleView):
        raise TypeError(
            f"Expected a sample, such as dataset.first(), not {type(sample).__name__}. Pass "
            f"dataset[id] for the sample of an id"
        )
    if sample.dataset is None:
        raise TypeError(f"The sample {sample.filepath!r} is not in a dataset. Add it to one first")
    return fields.root_dataset(sample.dataset)


def _classifier(
    dataset: fo.Dataset, run: Run | Network | str | None, field: str, weights: str | None
) -> tuple[Run, list[str]]:
    """Return the classifier to explain, and notes about it."""
    if run is not None:
        found = find_classifier(dataset, run, weights)
        way = way_before(dataset, found, field)
        return (found if way is None else find_classifier(dataset, run, weights, way)), []
    if weights is not None:
        raise ValueError("weights are for a pretrained backbone. Pass its name as run")
    info = fields.field_info(dataset, field)
    key = info.get("run")
    if key is None:
        if (newest := runs.newest_run(dataset)) is None:
            cached = cached_backbone()
            such_as = f", such as {cached!r}, whose weights are on this machine" if cached else ""
            raise ValueError(
                f"There is no classifier to explain: {dataset.name!r} has no predictions in "
                f"{field!r} and no run. Call fine_tune(), or pass run= with the name of a "
                f"pretrained network{such_as}"
            )
        words = f"There are no predictions in {field!r}. The newest run, {newest!r}, is used."
        return runs.load_run(dataset, newest), [words]
    backbone, _, kind = key.rpartition("/")
    version = str(info.get("version"))
    if kind == "imagenet" and backbone:
        file, _, resize = version.rpartition(", ")
        if resize in RESIZES:
            return pretrained(dataset, backbone, file, resize), []
    if kind == "network" and backbone:
        raise ValueError(
            f"The predictions in {field!r} are of your own network {backbone!r}, which is not "
            f"stored with the dataset. In Python: explain_sample(sample, run=network)"
        )
    found = runs.load_run(dataset, key)
    if found.version != info.get("version"):
        words = f"Run {key!r} was trained again after it made the predictions in {field!r}."
        return found, [f"{words} The new version is used."]
    return found, []


def _stored_options(dataset: fo.Dataset, field: str, classifier: Run) -> dict:
    """Method and layer of the stored heatmaps of the predicted class; the layer is None if it is
    the default."""
    for name in heatmap_fields(dataset):
        info = fields.field_info(dataset, name)
        is_own = info.get("prediction_field") == field and info.get("run") == classifier.key
        if is_own and info.get("kind") == PREDICTED and info.get("heatmap"):
            how = dict(info["heatmap"])
            layer = how.get("layer")
            return {
                "method": how.get("method"),
                "layer": layer if layer != classifier.layer else None,
            }
    return {}


def _check_class(name: str, known: Sequence[str], run: str) -> None:
    if name not in known:
        raise ValueError(f"{run!r} has no class {name!r}. {did_you_mean(name, known)}".strip())


def _maps(
    seen: Seen,
    method: str,
    box: Box,
    wanted: Sequence[str | None],
    probabilities: np.ndarray,
    logits: torch.Tensor,
) -> tuple[ClassMap, ...]:
    """Compute the heatmap of each requested class that the network knows."""
    names = seen.network.classes
    known = [name for name in dict.fromkeys(wanted) if name in names]
    targets = [torch.tensor([names.index(name)]) for name in known]
    maps, _ = seen.forward.maps(targets, method)
    found = []
    for name, cam in zip(known, maps, strict=True):
        index, values = names.index(name), cam[0].float().cpu().numpy()
        of_class = float(probabilities[index]), float(logits[index])
        found.append(ClassMap(name, *of_class, values, measure(values, box)))
    return tuple(found)


def _contrast(seen: Seen, label: str, other: str, way: str, method: str) -> ContrastMap | None:
    """Compute the contrast between the predicted class and another class."""
    if other == label:
        return None
    names = seen.network.classes
    pair = [torch.tensor([names.index(name)], device=seen.inputs.device) for name in (label, other)]
    cam = contrast(seen.forward, *pair, way, method)
    return ContrastMap(label, other, cam[0].float().cpu().numpy(), way)


def _neighbors(
    dataset: fo.Dataset,
    seen: Seen,
    run: Run,
    row: dict,
    columns: Columns | None,
    count: int,
) -> tuple[list[Neighbor], str]:
    """Return the most similar images, and what they are called in sentences."""
    if not count:
        return [], "images"
    has_train = dataset._sample_collection.find_one({"tags": TRAIN}, ["_id"]) is not None
    near = nearest_kept(
        dataset,
        source_of(dataset, seen.network, run),
        seen.pooled[0].float().cpu().numpy(),
        str(row["_id"]),
        count,
        TRAIN if has_train else None,
    )
    they_are = "training images" if has_train and near is not None else "images"
    if near is None:  # use the neighbors that find_label_issues stored
        stored = (
            (row.get(columns.issue) or {}).get("neighbors") if columns and columns.issue else None
        )
        near = [(str(i), None) for i in (stored or [])[:count]]
    paths = ["filepath", *([columns.label] if columns else [])]
    ids = [ObjectId(i) for i, _ in near if ObjectId.is_valid(i)]
    rows = dataset._sample_collection.find({"_id": {"$in": ids}}, paths)
    known = {str(one["_id"]): one for one in rows}
    return [
        Neighbor(i, known[i]["filepath"], label_in(known[i], columns) if columns else None, cosine)
        for i, cosine in near
        if i in known
    ], they_are
