"""Find wrong labels, by models that never saw the images they judge."""

from __future__ import annotations

import os
from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from ..dataset import fields, shown, views
from ..dataset.embeddings import Embeddings, check_can_wait, check_one_source, given_embeddings
from ..dataset.files import dataset_folder
from ..dataset.issues import in_words, note_label_issues, write_label_issues
from ..dataset.looks import Looks, looks_of
from ..dataset.probabilities import given_probabilities
from ..dataset.training_sets import class_indexes
from ..dataset.writing import exclusive
from ..images.away import is_away
from ..jobs.delegating import delegable
from ..passes.features import pick_backbone
from ..progress import Progress, Report, reporting, some, tell_failures
from ..review.issue_facts import issues_of
from ..review.kinds import LEAST_IMAGES
from ..review.label_issues import check_folds, folds_of, out_of_fold_probabilities
from ..review.leaks import equal_files
from ..review.twins import judgeable, left_out_together, twins_of
from ..review.verdict import Verdict, verdict_by_features, verdict_by_probabilities
from ..similar import did_you_mean
from ..training.per_fold import probabilities_per_fold
from ..training.recipe import Recipe
from ..training.recipes import make_recipe

METHODS = ("features", "folds", "fine-tune")
FOLDS = "folds"  # folder of what trainings of an unfinished call said


def _check(samples, embeddings=None, probabilities=None, **_) -> None:
    """Raise at once what is wrong with a call that is handed to a job."""
    check_can_wait(embeddings)
    if probabilities is not None:
        raise ValueError("A job cannot be given probabilities. Call without delegate=True")


@delegable(check=_check)
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
    method: str | None = None,
    embeddings: Embeddings | None = None,
    probabilities: np.ndarray | None = None,
    issue_field: str = "issue",
    **choices,
) -> fo.DatasetView:
    """Score each label by a model that never saw its image, the most suspicious first.

    Written are `label_quality` (the probability of the given label without this image: 0 to 1, low
    is suspicious), where another class is more probable `suggested_label` with its confidence, and
    `issue`: what may be the matter, with `evidence` in words and the ids of the most similar images
    (`neighbors`). Its label is "wrong label" (sure enough to be accepted in bulk), "ambiguous",
    "outlier", "equal files, two labels", "near duplicates, two labels", "dark", "light", "blurry",
    "low information", "odd size", "odd aspect ratio" or "too few to judge". How many labels are
    wrong, in all and by pairs of classes, is printed and kept in `dataset.info["label_issues"]`.

    Equal files and near duplicates do not vouch for each other. Classes with fewer than five images
    that differ are not judged.

    Args:
        samples: a dataset or view
        label_field: the labels to check
        folds: number of folds of "folds" and "fine-tune", at least 2
        backbone: None takes that of the newest run that began with a weights file, or else one
            whose ImageNet weights are cached or can be downloaded, or else "small_cnn", from
            scratch
        weights: "imagenet", "none", or the path of a file of weights of `backbone`; None takes
            "imagenet" where the backbone has such weights
        seed: of the folds and of training
        quality_field, suggestion_field, issue_field: fields to write
        overwrite: also replace fields that this plugin did not write
        device: such as "cpu" or "cuda"; None takes the best at hand
        progress, delegate: see `import_folders`
        method: "features" compares features of a pretrained network, which are kept for other
            verbs, by a regression that leaves each image out (no folds, no seed); "folds" fits a
            logistic regression on them per fold; "fine-tune" trains the network once per fold, and
            resumes when it is called again after it was cancelled. None takes "features", or
            "fine-tune" without pretrained weights
        embeddings: in the place of a network's features: an array (N, C) in the order of the
            samples, or the name of a field of vectors (see `compute_embeddings`)
        probabilities: your own model's, in the place of a method: (N, K) in the order of the
            samples and of the classes' names, each row by a model that never saw its image
            (out-of-fold)
        **choices: choices of the training per fold, as in `fine_tune`

    Returns:
        the judged samples, lowest quality first

    Raises:
        ValueError: if there are fewer than two classes with five images, or if an argument is not
            understood
        FileNotFoundError, ConnectionError: as `fine_tune`
    """
    samples = fields.whole(samples)
    dataset = fields.root_dataset(samples)
    kinds = {quality_field: None, suggestion_field: fo.Classification}
    fields.check_writable(dataset, kinds | {issue_field: fo.Classification}, overwrite)
    check_folds(folds)
    _check_method(method, embeddings, probabilities, backbone, weights)
    every, paths, labels = fields.labels_of(samples, label_field)
    _check_classes(labels, np.arange(len(labels)))
    rows = None
    if embeddings is not None:
        rows = given_embeddings(samples, embeddings)
    names = list(fields.class_counts(labels))
    if probabilities is not None:
        probabilities = given_probabilities(probabilities, labels, names)
    own = np.array([i for i, label in enumerate(labels) if label is not None], np.int64)
    ids, paths, labels = ([values[i] for i in own] for values in (every, paths, labels))
    rows = None if rows is None else rows[own]
    recipe = None
    if probabilities is None and rows is None:
        backbone, weights = pick_backbone(
            dataset, backbone, weights, "training small_cnn from scratch once per fold"
        )
        recipe = make_recipe(backbone=backbone, weights=weights, seed=seed, **choices)
        method = _method_for(method, recipe)
    elif choices:
        raise ValueError(f"{next(iter(choices))} is a choice of a training, and nothing is trained")
    by = "your probabilities" if probabilities is not None else "your embeddings"
    by = by if recipe is None else recipe.backbone
    with reporting(progress, f"Checking {len(ids)} labels with {by}") as report:
        looks = looks_of(
            dataset, ids, paths, recipe, rows, device, report, probabilities is not None, method
        )
        twins, group = twins_of(equal_files(paths), looks.kinds())
        readable = [label if ok else None for label, ok in zip(labels, looks.usable(), strict=True)]
        classes, too_few = _check_classes(readable, group)
        places = np.array([i for i, label in enumerate(readable) if label in set(classes)])
        targets = class_indexes([labels[i] for i in places], classes)
        if probabilities is not None:
            columns = [names.index(label) for label in classes]
            chosen = np.maximum(probabilities[own[places]][:, columns], 1e-12)
            verdict = verdict_by_probabilities(chosen / chosen.sum(1, keepdims=True), targets)
        else:
            verdict = _judge(
                dataset,
                looks,
                places,
                targets,
                group,
                method or "features",
                recipe,
                folds,
                seed,
                device,
                report,
            )
    issues = issues_of(
        labels, readable, classes, places, verdict, looks.features, twins, group, looks.poor()
    )
    away = {ids[i] for i, error in looks.failures.items() if is_away(error)}
    judged_ids = {ids[i] for i in places}
    write_label_issues(
        dataset,
        ids,
        {place: row for row, place in enumerate(places.tolist())},
        sorted(set(every) - judged_ids - away),
        verdict,
        {place: issue for place, issue in issues.items() if ids[place] not in away},
        classes,
        (quality_field, suggestion_field, issue_field),
        label_field,
    )
    facts = {"label_field": label_field, "fields": [quality_field, suggestion_field, issue_field]}
    facts |= {"method": "probabilities" if probabilities is not None else method or "features"}
    noted = note_label_issues(dataset, verdict, issues, classes, too_few, facts | {"by": by})
    shown.show_fields(dataset, [quality_field, suggestion_field, issue_field])
    tell_failures(looks.failures)
    kept = len(dataset.select(list(away)).exists(quality_field)) if away else 0
    _tell(noted, kept, quality_field)
    return views.label_issues(samples, quality_field)


def _check_method(method, embeddings, probabilities, backbone, weights) -> None:
    """Refuse arguments that contradict each other."""
    if method is not None and method not in METHODS:
        raise ValueError(
            f"method {method!r} is none of {', '.join(map(repr, METHODS))}. "
            f"{did_you_mean(method, METHODS)}".rstrip()
        )
    check_one_source(embeddings, backbone=backbone, weights=weights)
    if probabilities is not None:
        for name, value in (("method", method), ("backbone", backbone), ("weights", weights)):
            if value is not None:
                raise ValueError(
                    f"Give probabilities or {name}={value!r}, not both: they take the place of it"
                )
    if embeddings is not None and method == "fine-tune":
        raise ValueError("Give embeddings or method='fine-tune', not both: it trains on images")


def _method_for(method: str | None, recipe: Recipe) -> str:
    """The method that is chosen, or suits a recipe."""
    if method in ("features", "folds") and recipe.from_scratch:
        raise ValueError(
            f"method={method!r} needs features of a pretrained network, and {recipe.backbone} has "
            f"weights={recipe.weights!r}. Choose weights or another backbone, or method='fine-tune'"
        )
    return method or ("fine-tune" if recipe.from_scratch else "features")


def _check_classes(
    labels: Sequence[str | None], group: np.ndarray
) -> tuple[list[str], dict[str, int]]:
    """Classes that can be judged, and the sizes of the others."""
    classes, too_few = judgeable(labels, group, LEAST_IMAGES)
    if len(classes) < 2:
        counts = fields.class_counts(list(labels))
        present = ", ".join(f"{label!r} ({count})" for label, count in counts.items()) or "none"
        raise ValueError(
            f"Label issues need at least two classes with five images each that differ; there are: "
            f"{present}"
        )
    return classes, too_few


def _judge(
    dataset: fo.Dataset,
    looks: Looks,
    places: np.ndarray,
    targets: np.ndarray,
    group: np.ndarray,
    method: str,
    recipe: Recipe | None,
    folds: int,
    seed: int,
    device: str | None,
    report: Report,
) -> Verdict:
    """The verdict on the labels at some places."""
    num_classes, group = int(targets.max()) + 1, group[places]
    if method == "features":
        features = looks.features[places]
        return verdict_by_features(features, targets, num_classes, left_out_together(group))
    if method == "folds":
        features = looks.features[places]
        return verdict_by_probabilities(
            out_of_fold_probabilities(features, targets, num_classes, folds, seed, groups=group),
            targets,
        )
    fold = folds_of(targets, folds, seed, group)
    home = os.path.join(dataset_folder(dataset), FOLDS)
    found = probabilities_per_fold(
        looks.images, places, targets, fold, recipe, device, report, home
    )
    return verdict_by_probabilities(found, targets)


def _tell(noted: dict, kept: int, quality_field: str) -> None:
    """Print what was found."""
    if kept:
        print(f"{kept} images whose files cannot be read now keep their earlier {quality_field!r}")
    if noted["too_few"]:
        few = [f"{one['class']} ({one['count']})" for one in noted["too_few"]]
        print(f"Too few images that differ to judge: {some(few)}")
    print(in_words(noted))
    for pair in noted["pairs"][:5]:
        print(f"  about {pair['count']:.0f} of {pair['class']!r} labeled {pair['label']!r}")
    if noted["kinds"]:
        print("Issues: " + ", ".join(f"{n} {kind}" for kind, n in noted["kinds"].items()))
