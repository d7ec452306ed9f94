"""Find a classifier: a run by its key, a pretrained backbone by its name, or the user's network."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from ..images.batches import Images
from ..images.geometry import RESIZES, check_resize
from ..model.backbones import BACKBONES
from ..model.network import Network
from ..progress import Progress, counted, some
from ..training.recipe import AUTO, Recipe
from . import runs
from .fields import field_info, labels_of, root_dataset
from .import_record import decode_options
from .own_network import own_run
from .resizing import settled_for
from .run import Pretrained, Run, pretrained
from .training_sets import class_indexes

OTHERWISE = "squash"  # resize for images with too few labels to compare the ways


def find_classifier(
    samples: fo.core.collections.SampleCollection,
    run: Run | Network | str,
    weights: str | None = None,
    resize: str | None = None,
) -> Run:
    """Return a run by its key, a pretrained backbone by its name, or the user's network as a run.

    Args:
        samples: a dataset or view
        run: a run or its key, the name of a backbone with ImageNet weights, or a network
        weights: "imagenet" or a file, for a backbone only; by default (None), "imagenet"
        resize: how images are resized, for a backbone only; by default (None), "auto"

    Raises:
        ValueError: if there is no such run or backbone, if the run was deleted or trained again
            since it was loaded, or if weights or resize is given without a backbone
    """
    dataset = root_dataset(samples)
    if isinstance(run, Network):
        if weights is not None or resize is not None:
            raise ValueError("A Network has its own weights and resize. Leave them out")
        return own_run(dataset, run)
    known = isinstance(run, Run) or (weights is None and runs.has_run(dataset, run))
    if isinstance(run, Run) and not isinstance(run, Pretrained):
        _check_is_there(dataset, run)
    if (
        not known
        and isinstance(run, str)
        and run in BACKBONES
        and BACKBONES[run].has_imagenet_weights
    ):
        resize = resize or AUTO
        check_resize(resize, (*RESIZES, AUTO))
        way = OTHERWISE if resize == AUTO else resize
        return pretrained(dataset, run, weights or "imagenet", way)
    found = runs.load_run(dataset, run, others=BACKBONES)
    if weights is not None or resize is not None:
        raise ValueError(
            f"weights and resize are for a pretrained backbone; run {found.key!r} is used as it "
            f"was trained. Leave them out"
        )
    return found


def _check_is_there(dataset: fo.Dataset, run: Run) -> None:
    """Check that a run of this dataset was not deleted or replaced since it was loaded."""
    if run.dataset_name != dataset.name or run.trained is None:
        return
    if runs.load_run(dataset, run.key).version != run.version:
        raise ValueError(
            f"Run {run.key!r} was trained again since you looked it up. Pass its key instead"
        )


def shown_best(
    samples: fo.core.collections.SampleCollection,
    run: Pretrained,
    field: str,
    label_field: str | None,
    device: str | None,
    progress: Progress,
) -> Pretrained:
    """Return a pretrained classifier with the resize of its stored predictions, or the best one.

    Args:
        samples: the samples to predict; the best resize is determined on those with labels, and
            only on those tagged "train" if there are any
        run: the classifier, with any resize
        field: a field that may hold its predictions or heatmaps
        label_field: the field of the labels; by default (None), that of the run
        device, progress: see `predict`
    """
    dataset = root_dataset(samples)
    way = way_before(dataset, run, field)
    if way is None:
        recipe = Recipe(backbone=run.recipe["backbone"], weights=run.checkpoint)
        field = label_field or run.label_field
        way = settled_for(samples, recipe, field, device, progress, OTHERWISE).resize
    return pretrained(dataset, run.recipe["backbone"], run.checkpoint, way)


def way_before(dataset: fo.Dataset, run: Run, field: str) -> str | None:
    """Return the resize with which a pretrained classifier made the values of a field.

    Returns:
        the resize; None if the field holds no values of this classifier, or it was trained here
    """
    info = field_info(dataset, field)
    weights, _, way = str(info.get("version")).rpartition(", ")
    is_same = info.get("run") == run.key and weights == run.checkpoint and way in RESIZES
    return way if is_same else None


def images_for(
    run: Run, paths: Sequence[str], dataset: fo.Dataset, is_rest: bool = False
) -> Images:
    """Return image files of a dataset, resized as the run requires; `is_rest`: see `Images`."""
    return Images(
        paths,
        run.recipe["image_size"],
        resize=run.recipe.get("resize", "squash"),
        decode_options=decode_options(dataset),
        is_rest=is_rest,
    )


def own_labels(
    samples: fo.core.collections.SampleCollection, run: Run, label_field: str | None
) -> tuple[str, np.ndarray]:
    """Return the field of the samples' labels, and the class index of each label, -1 for none.

    Raises:
        ValueError: if none of the labels is a class of the run, which was trained here
    """
    dataset = root_dataset(samples)
    if label_field is None and dataset.get_field(run.label_field) is None:
        return run.label_field, np.full(len(samples), -1, np.int64)  # there are no labels yet
    label_field = label_field or run.label_field
    _, _, labels = labels_of(samples, label_field)
    indexes = class_indexes(labels, run.classes)
    unknown = sorted({x for x in labels if x is not None} - set(run.classes))
    if unknown and (indexes < 0).all() and not isinstance(run, Pretrained):
        raise ValueError(
            f"Run {run.key!r} was trained on other classes ({some(run.classes)}) than "
            f"{label_field!r} holds ({some(unknown)}). Choose another run, or another "
            f"label_field"
        )
    if unknown:
        count = sum(label in set(unknown) for label in labels)
        print(
            f"{counted(count, 'sample has a class', 'samples have classes')} that "
            f"{run.key!r} does not know, and no "
            f"label_score: {some(unknown)}"
        )
    return label_field, indexes
