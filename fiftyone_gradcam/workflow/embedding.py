"""Embeddings: the features of each image by a network, for users and for FiftyOne Brain."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ..dataset import fields, runs
from ..dataset.classifiers import find_classifier
from ..dataset.embeddings import Embeddings, check_one_source, given_embeddings
from ..dataset.features import features_of
from ..dataset.import_record import decode_options
from ..dataset.run import Pretrained
from ..dataset.spool import replace_by_parts
from ..dataset.storing import Declared, is_other
from ..dataset.writing import exclusive
from ..images.batches import Images
from ..jobs.delegating import delegable
from ..model.backbones import BACKBONES
from ..model.network import Network
from ..progress import Progress, report_failures, reporting
from ..training.frozen import frozen_network
from ..training.recipes import make_recipe

ROWS_AT_ONCE = 1000


@delegable
@exclusive
def compute_embeddings(
    samples: fo.core.collections.SampleCollection,
    run_or_backbone: runs.Run | Network | str,
    field: str | None = None,
    weights: str | None = None,
    resize: str | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
) -> np.ndarray:
    """Compute the features of each image by a network: the spatial mean of its target tensor.

    `find_label_issues`, `find_leaks` and `split` compare images by these features, and `predict`
    stores them. They are computed once for each network and file, and stored with the dataset as
    float16. You can pass them to FiftyOne Brain: `fob.compute_similarity(dataset, embeddings=field,
    backend="sklearn")`.

    Args:
        samples: a dataset or view
        run_or_backbone: a run or its key, a `Network`, or the name of a backbone, such as
            "mobilenet_v2", to use it with pretrained weights
        field: vector field to write the embeddings to; by default (None), they are not written to a
            field
        weights: weights of a pretrained backbone: "imagenet" (the default), or the path of a
            weights file
        resize: how images are resized for a pretrained backbone: "crop" (the default), "squash" or
            "letterbox"
        overwrite: also replace a field that this plugin did not write, and embeddings of another
            network, including those of samples that are not in `samples`
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        an array (N, C) of float32, in the order of the samples. Rows of images that cannot be
        decoded are NaN; these images are reported, and have no vector in the field

    Raises:
        ValueError: if there is no such run or backbone, if no image can be decoded, or if the field
            exists
        FileNotFoundError, ConnectionError: if the weights file does not exist, or ImageNet weights
            are not cached and cannot be downloaded
    """
    samples = fields.whole(samples)
    dataset = fields.root_dataset(samples)
    if field is not None:
        _check_field(dataset, field, overwrite)
    network, run = network_of(samples, run_or_backbone, weights, resize, device)
    ids = samples.values("id")
    if field is not None:
        declared = _declared(network, run, dataset.name)
        _check_others(dataset, field, declared, ids, overwrite)
    found = embeddings_by(samples, network, run, progress)
    if field is not None:
        _write(dataset, field, declared, ids, found)
    return found


def network_of(
    samples: fo.core.collections.SampleCollection,
    run_or_backbone: runs.Run | Network | str,
    weights: str | None,
    resize: str | None,
    device: str | None,
) -> tuple[Network, runs.Run | None]:
    """Return the network for `compute_embeddings`, and its run if it has one.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: if there is no such network, or its weights
            cannot be loaded
    """
    dataset = fields.root_dataset(samples)
    if isinstance(run_or_backbone, Network):
        if weights is not None or resize is not None:
            raise ValueError("weights and resize are for a backbone; a network has its own")
        return run_or_backbone.on(device), None
    name = run_or_backbone
    is_text = isinstance(name, str)
    if not is_text or name not in BACKBONES or (weights is None and runs.has_run(dataset, name)):
        run = find_classifier(samples, name, weights, resize)
        return run.network(device), run
    if weights is None and not BACKBONES[name].has_imagenet_weights:
        raise ValueError(
            f"{name!r} has no pretrained weights. Pass weights= with the path of a weights file"
        )
    if weights == "none":
        raise ValueError(
            "Embeddings are of a network with pretrained weights, not of weights='none'. Choose "
            "weights or another backbone"
        )
    chosen = {} if resize is None else {"resize": resize}
    recipe = make_recipe(backbone=name, weights=weights or "imagenet", **chosen).with_resize("crop")
    return frozen_network(recipe, device), None


def embeddings_for(
    samples: fo.core.collections.SampleCollection,
    embeddings: Embeddings | None,
    backbone: Network | str | None,
    weights: str | None,
    device: str | None,
    progress: Progress,
) -> np.ndarray | None:
    """Return embeddings (N, C) to use instead of those of a pretrained backbone.

    These are the embeddings of the user, or those of a `Network` that was passed as the backbone;
    None if there are neither.

    Args:
        samples: a dataset or view
        embeddings, backbone, weights, device, progress: see `find_leaks`

    Raises:
        ValueError: if more than one source is given, or no image can be decoded
    """
    if isinstance(backbone, Network):
        check_one_source(embeddings, backbone)
        if weights is not None:
            raise ValueError("A Network has its own weights. Leave weights= out")
        return embeddings_by(samples, backbone.on(device), None, progress)
    check_one_source(embeddings, backbone, weights)
    return None if embeddings is None else given_embeddings(samples, embeddings)


def embeddings_by(
    samples: fo.core.collections.SampleCollection,
    network: Network,
    run: runs.Run | None,
    progress: Progress,
) -> np.ndarray:
    """Return embeddings (N, C) of samples by a network; compute those that are not stored yet."""
    dataset = fields.root_dataset(samples)
    ids, paths = samples.values(["id", "filepath"])
    images = Images(
        paths, network.image_size, resize=network.resize, decode_options=decode_options(dataset)
    )
    by = words_of(network, run)
    with reporting(progress, f"Computing embeddings of {len(ids)} images by {by}") as report:
        found = features_of(dataset, ids, images, network, report, run)
    report_failures(images.failures)
    images.check_readable()
    return found


def words_of(network: Network, run: runs.Run | None) -> str:
    """Describe a network or its run in words."""
    if run is not None and not isinstance(run, Pretrained):
        return f"run {run.key!r}"
    return str(network).partition(",")[0]


def _declared(network: Network, run: runs.Run | None, dataset_name: str) -> Declared:
    """Declare an embeddings field of a dataset."""
    facts = {"kind": "embeddings", "network": network.digest}
    words = f"What {words_of(network, run)} sees in the image"
    if run is not None and not isinstance(run, Pretrained):
        facts["run"] = run.key
        if run.dataset_name == dataset_name:  # changes to runs of other datasets are not known
            facts["version"] = run.version
    return Declared("vector", words, facts, {})


def _check_field(dataset: fo.Dataset, field: str, overwrite: bool) -> None:
    """Raise an error if a field has another type, or was not written by this plugin."""
    fields.check_writable(dataset, {field: None}, overwrite)
    existing = dataset.get_field(field)
    if existing is not None and not isinstance(existing, fo.VectorField):
        raise ValueError(
            f"Field {field!r} of {dataset.name!r} has values of another type, not vectors. "
            f"Choose another name"
        )


def _check_others(
    dataset: fo.Dataset, field: str, declared: Declared, ids: list[str], overwrite: bool
) -> None:
    """Raise an error if embeddings by another network, of samples that get no new ones, would be
    lost."""
    if overwrite or not is_other(dataset, field, declared):
        return
    others = set(dataset.exists(field).values("id")).difference(ids)
    if others:
        raise ValueError(
            f"Field {field!r} has embeddings by another network for {len(others)} samples that "
            f"are not among these. Choose another name, or pass overwrite=True to delete them"
        )


def _write(
    dataset: fo.Dataset, field: str, declared: Declared, ids: list[str], found: np.ndarray
) -> None:
    """Write embeddings to a field all at once; until then, they are kept on disk."""
    to_stored = fo.VectorField().to_mongo

    def part(start: int) -> dict[str, dict]:
        rows = zip(ids[start : start + ROWS_AT_ONCE], found[start:], strict=False)
        return {i: {field: to_stored(row) if np.isfinite(row).all() else None} for i, row in rows}

    parts = map(part, range(0, len(ids), ROWS_AT_ONCE))
    replace_by_parts(dataset, {field: declared}, parts, is_other(dataset, field, declared))
