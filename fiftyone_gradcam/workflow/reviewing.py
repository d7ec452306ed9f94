"""Find wrong labels, by models that never saw the images they judge."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ..dataset import fields, shown, views
from ..dataset.features import features_of
from ..dataset.import_record import decode_options
from ..dataset.issues import write_label_issues
from ..dataset.pretrained import pick_backbone
from ..dataset.resizing import settled_for
from ..dataset.training_sets import CACHE_BYTES, class_indexes
from ..dataset.writing import exclusive
from ..images.away import is_away
from ..images.batches import Images
from ..jobs.delegating import delegable
from ..model.backbones import get_backbone
from ..model.device import pick_device
from ..passes.engine import run_pass
from ..passes.sinks import Logits
from ..progress import Progress, Report, reporting, some, tell_failures
from ..review.label_issues import check_folds, folds_of, label_issues, out_of_fold_probabilities
from ..review.scores import softmax
from ..training.frozen import frozen_network
from ..training.history import Hooks
from ..training.loop import train
from ..training.recipe import Recipe
from ..training.recipes import make_recipe
from ..training.sources import InTraining, Labelled


@delegable
@exclusive
def find_label_issues(
    samples: fo.core.collections.SampleCollection,
    label_field: str = "ground_truth",
    folds: int = 5,
    backbone: str | None = None,
    weights: str | None = None,
    seed: int = 0,
    quality_field: str = "label_quality",
    suggestion_field: str = "suggested_label",
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
    **choices,
) -> fo.DatasetView:
    """Score each label by a model that never saw its image, the most suspicious first.

    With pretrained weights: the images' features come from the frozen backbone, and a logistic
    regression is fitted once per fold. Without: the backbone is trained from scratch once per
    fold. Written are `label_quality` (out-of-fold probability of the given label: 0 to 1, low is
    suspicious) and, where another class is more probable, `suggested_label` with its confidence.

    Args:
        samples: a dataset or view
        label_field: the labels to check
        folds: number of folds, at least 2
        backbone: None takes that of the newest run that began with a weights file, or else one
            whose ImageNet weights are cached or can be downloaded, or else "small_cnn", from
            scratch
        weights: "imagenet", "none", or the path of a file of weights of `backbone`; None takes
            "imagenet" where the backbone has such weights
        seed: of the folds and of training
        quality_field, suggestion_field: fields to write
        overwrite: also replace fields that this plugin did not write
        device: such as "cpu" or "cuda"; None takes the best at hand
        progress, delegate: see `import_folders`
        **choices: choices of the training per fold, as in `fine_tune`

    Returns:
        the judged samples, lowest quality first

    Raises:
        ValueError: if there are fewer than two classes with two images, or if an argument is not
            understood
        FileNotFoundError, ConnectionError: as `fine_tune`
    """
    samples = fields.whole(samples)
    dataset = fields.root_dataset(samples)
    kinds = {quality_field: None, suggestion_field: fo.Classification}
    fields.check_writable(dataset, kinds, overwrite)
    ids, paths, labels = fields.labels_of(samples, label_field)
    every = ids
    labelled = [i for i, label in enumerate(labels) if label is not None]
    ids, paths, labels = ([values[i] for i in labelled] for values in (ids, paths, labels))
    _, classes, _ = _judgeable(labels)
    check_folds(folds)
    backbone, weights = pick_backbone(
        dataset, backbone, weights, "training small_cnn from scratch once per fold"
    )
    recipe = make_recipe(backbone=backbone, weights=weights, seed=seed, **choices)
    recipe = settled_for(samples, recipe, label_field, device, progress)
    images = Images(
        paths,
        recipe.image_size,
        CACHE_BYTES if recipe.from_scratch else 0,
        resize=recipe.resize,
        decode_options=decode_options(dataset),
    )
    with reporting(progress, f"Checking {len(ids)} labels with {backbone}") as report:
        features = None
        if recipe.from_scratch:
            _decode_all(images)
        else:
            network = frozen_network(recipe, device)
            features = features_of(dataset, ids, images, network, report)
        readable = [None if i in images.failures else label for i, label in enumerate(labels)]
        judged, classes, alone = _judgeable(readable)
        targets = class_indexes([labels[i] for i in judged], classes)
        if features is None:
            probabilities = _train_per_fold(
                images, judged, targets, len(classes), folds, recipe, device, report
            )
        else:
            probabilities = out_of_fold_probabilities(
                features[judged], targets, len(classes), folds, seed
            )
    found = label_issues(probabilities, targets)
    away = [ids[i] for i, error in images.failures.items() if is_away(error)]
    judged_ids = [ids[i] for i in judged]
    write_label_issues(
        dataset,
        judged_ids,
        sorted(set(every) - set(judged_ids) - set(away)),
        found,
        classes,
        quality_field,
        suggestion_field,
        label_field,
    )
    shown.show_fields(dataset, [quality_field, suggestion_field])
    tell_failures(images.failures)
    if kept := len(dataset.select(away).exists(quality_field)):
        print(f"{kept} images whose files cannot be read now keep their earlier {quality_field!r}")
    if alone:
        print(f"Not judged, being the only image of its class: {some(alone)}")
    print(
        f"{len(judged)} labels judged; another class is more probable for "
        f"{found.issues.sum()} of them"
    )
    return views.label_issues(samples, quality_field)


def _judgeable(labels: list[str | None]) -> tuple[np.ndarray, list[str], list[str]]:
    """Positions with a label that others share, their classes, and the classes of one image."""
    counts = fields.class_counts(labels)
    classes = [label for label, count in counts.items() if count > 1]
    if len(classes) < 2:
        present = ", ".join(f"{label!r} ({count})" for label, count in counts.items()) or "none"
        raise ValueError(
            f"Label issues need at least two classes with two images each; there are: {present}"
        )
    known = set(classes)
    judged = np.array([i for i, label in enumerate(labels) if label in known], np.int64)
    return judged, classes, [label for label, count in counts.items() if count == 1]


def _decode_all(images: Images) -> None:
    """Find out which images cannot be decoded; what fits is kept for training."""
    run_pass(images, None, [])


def _train_per_fold(
    images: Images,
    judged: np.ndarray,
    targets: np.ndarray,
    num_classes: int,
    folds: int,
    recipe: Recipe,
    device: str | None,
    report: Report,
) -> np.ndarray:
    """Out-of-fold probabilities (N, K) of the judged positions, from one training per fold."""
    backbone = get_backbone(recipe.backbone)
    labels = np.zeros(len(images), np.int64)
    labels[judged] = targets
    fold = folds_of(targets, folds, recipe.seed)
    count = int(fold.max()) + 1
    probabilities = np.zeros((len(judged), num_classes))
    rows = np.full(len(images), -1, np.int64)
    rows[judged] = np.arange(len(judged))
    for number in range(count):

        def on_step(done: int, total: int, epoch: object, number: int = number) -> None:
            report(number * total + done, count * total, f"Training fold {number + 1} of {count}")

        rest = Labelled(images, labels, judged[fold != number])
        trained = train(recipe, num_classes, rest, device=device, hooks=Hooks(on_step))
        network = InTraining(trained.model, backbone, pick_device(device))
        sink, asked = Logits(len(images)), judged[fold == number]
        run_pass(images, network, [sink], recipe.batch_size, positions=asked)
        seen = asked[np.isfinite(sink.rows[asked]).all(1)]
        probabilities[rows[seen]] = softmax(sink.rows[seen])
    return probabilities
