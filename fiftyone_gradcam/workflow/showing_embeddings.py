"""Show images as points in a 2D layout of their embeddings."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ..dataset import fields, runs
from ..dataset.basis import Snapshot
from ..dataset.embeddings import Embeddings, check_can_wait, check_one_source, given_embeddings
from ..dataset.layouts import RESTS_ON, facts_of_field
from ..dataset.pretrained import pick_backbone
from ..dataset.review_state import default_label_field
from ..dataset.run import Pretrained
from ..dataset.writing import exclusive
from ..jobs.delegating import delegable
from ..model.network import Network
from ..progress import Progress, counted
from ..review.layout import layout, pick_method
from ..training.frozen import frozen_network
from ..training.recipes import make_recipe
from .embedding import embeddings_by, network_of, words_of

WITHOUT = "embeddings cannot be computed"
SIGNATURE = "(gradcam)"  # suffix of the description of a layout that this module made


def _check(samples, embeddings=None, **_) -> None:
    """Raise errors of a call immediately, before it is queued as a job."""
    check_can_wait(embeddings)


@delegable(check=_check)
@exclusive
def show_embeddings(
    samples: fo.core.collections.SampleCollection,
    run_or_backbone: runs.Run | Network | str | None = None,
    method: str | None = None,
    brain_key: str = "embeddings",
    embeddings: Embeddings | None = None,
    weights: str | None = None,
    resize: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
):
    """Compute a 2D layout of the images by their embeddings, for the App's Embeddings panel.

    Images that are similar for the network are close to each other; an image among images of
    another class may have a wrong label. The layout is stored as a FiftyOne Brain visualization.

    Args:
        samples: a dataset or view
        run_or_backbone: a run or its key, the name of a backbone, or a `Network`; by default
            (None), the newest run, or the backbone that `find_label_issues` uses by default if
            there is no run
        method: "pca" or "tsne" (scikit-learn), or "umap" if umap-learn is installed; by default
            (None), "umap" if it is installed, else "tsne" for up to 5,000 images, else "pca"
        brain_key: key of the visualization; an earlier one of this key that this function made is
            replaced
        embeddings: vectors to use instead of the features of a network: an array (N, C) in the
            order of the samples, or the name of a vector field (see `compute_embeddings`)
        weights: weights of a pretrained backbone: "imagenet" (the default), or the path of a
            weights file
        resize: how images are resized for a pretrained backbone: "crop" (the default), "squash" or
            "letterbox"
        seed: random seed of the layout
        overwrite: also replace another brain run of this key
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        the `fiftyone.brain.visualization.VisualizationResults`; images that cannot be decoded are
        reported and left out

    Raises:
        ValueError: if there is no such run, backbone or method, if fewer than three images can be
            decoded, or if the key exists
        FileNotFoundError, ConnectionError: if the weights file does not exist, or ImageNet weights
            are not cached and cannot be downloaded
        ImportError: if `method` is "umap" and umap-learn is not installed
    """
    samples = fields.whole(samples)
    dataset = fields.root_dataset(samples)
    _check_key(dataset, brain_key, overwrite)
    check_one_source(embeddings, run_or_backbone=run_or_backbone, weights=weights, resize=resize)
    given = {"method": method, "seed": seed, "weights": weights, "resize": resize}
    method = pick_method(method, len(samples))
    rests_on = _samples_now(samples)  # before the pass, as samples may be added during it
    if embeddings is None:
        network, run = _network(samples, run_or_backbone, weights, resize, device)
        found, of = embeddings_by(samples, network, run, progress), words_of(network, run)
        rests_on |= _run_now(dataset, run)
        source = rests_on.get("run", run_or_backbone)
        can_repeat = source is None or isinstance(source, str)
        given["run_or_backbone"] = source
    else:
        found, of = given_embeddings(samples, embeddings), "your embeddings"
        can_repeat = isinstance(embeddings, str)
        given["embeddings"] = embeddings
        if can_repeat:
            rests_on |= {"field": embeddings, "facts": facts_of_field(dataset, embeddings)}
    if can_repeat:
        rests_on["given"] = {name: value for name, value in given.items() if value is not None}
    there = np.flatnonzero(np.isfinite(found).all(1))
    points = layout(found[there], method, seed)
    ids = samples.values("id")
    ids = [ids[place] for place in there]
    view = samples if len(ids) == len(samples) else dataset.select(ids, ordered=True)
    results = _store(view, ids, points, brain_key, f"{of}, {method} {SIGNATURE}", rests_on)
    print(
        f"{counted(len(there), 'image')} in a {method} layout by {of}: {brain_key!r} in the "
        f"Embeddings panel"
    )
    return results


def _network(
    samples: fo.core.collections.SampleCollection,
    run_or_backbone: runs.Run | Network | str | None,
    weights: str | None,
    resize: str | None,
    device: str | None,
) -> tuple[Network, runs.Run | None]:
    """Return the requested network, or the default one, and its run if it has one."""
    dataset = fields.root_dataset(samples)
    if run_or_backbone is None and weights is None and resize is None:
        run_or_backbone = runs.newest_run(dataset)
    if run_or_backbone is not None:
        return network_of(samples, run_or_backbone, weights, resize, device)
    backbone, weights = pick_backbone(dataset, None, weights, WITHOUT)
    if weights == "none":
        raise ValueError(
            f"{dataset.name!r} has no run, and no pretrained weights are available. Call "
            f"fine_tune() first, or pass a backbone and weights= with the path of a weights file"
        )
    chosen = {} if resize is None else {"resize": resize}
    recipe = make_recipe(backbone=backbone, weights=weights, **chosen).with_resize("crop")
    return frozen_network(recipe, device), None


def _samples_now(samples: fo.core.collections.SampleCollection) -> dict:
    """Digest of the current samples, for a layout of all of them; empty for a view."""
    if getattr(samples, "_stages", None):  # the whole dataset may be a view without stages
        return {}
    dataset = fields.root_dataset(samples)
    return {"samples": Snapshot(dataset, default_label_field(dataset)).samples()}


def _run_now(dataset: fo.Dataset, run: runs.Run | None) -> dict:
    """Key and version of the run; empty if it belongs to another dataset, whose changes are not
    known."""
    is_own = isinstance(run, runs.Run) and not isinstance(run, Pretrained)
    if not is_own or run.dataset_name != dataset.name:
        return {}
    return {"run": run.key, "version": run.version}


def _check_key(dataset: fo.Dataset, key: str, overwrite: bool) -> None:
    """Raise an error if a key is invalid, or belongs to a brain run of another function.

    Raises:
        ValueError: with the remedy
    """
    if not isinstance(key, str) or not key.isidentifier():
        raise ValueError(
            f"{key!r} is not a valid key of a brain run. Use letters, digits and underscores"
        )
    dataset.reload()  # another process may have created it
    if overwrite or not dataset.has_brain_run(key):
        return
    config = dataset.get_brain_info(key).config
    own = str(getattr(config, "model", None)).endswith(SIGNATURE)
    if not own and dataset.load_brain_results(key) is not None:  # no results: interrupted
        raise ValueError(
            f"Brain run {key!r} of {dataset.name!r} was not made by show_embeddings. Choose "
            f"another name, or pass overwrite=True to replace it"
        )


def _store(
    view: fo.core.collections.SampleCollection,
    ids: list[str],
    points: np.ndarray,
    key: str,
    of: str,
    rests_on: dict,
):
    """Store a layout as a brain run, and replace an earlier one of the same key.

    The record says from the beginning that this function made it, which `compute_visualization`
    cannot do for given points. An interrupted call therefore leaves nothing that looks like a brain
    run of another function.

    Args:
        view: the samples
        ids: ids of the samples, in the order of the points
        points: (N, 2)
        key: key of the brain run
        of: description in the Embeddings panel
        rests_on: facts that `fiftyone_gradcam.dataset.freshness` compares with the current state
    """
    from fiftyone.brain.visualization import ManualVisualizationConfig, VisualizationResults

    dataset = fields.root_dataset(view)
    if dataset.has_brain_run(key):
        dataset.delete_brain_run(key)
    config = ManualVisualizationConfig(num_dims=points.shape[1], model=of, **{RESTS_ON: rests_on})
    brain_method = config.build()
    brain_method.register_run(view, key)
    results = VisualizationResults(view, config, key, points, sample_ids=np.array(ids))
    brain_method.save_run_results(view, key, results)
    return results
