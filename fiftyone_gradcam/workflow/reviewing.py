"""Find wrong labels, with models that were not trained on the images they judge."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from ..dataset import fields, reviews, shown, views
from ..dataset.basis import now_text
from ..dataset.embeddings import Embeddings, check_can_wait
from ..dataset.given_probabilities import given_probabilities
from ..dataset.image_facts import image_facts
from ..dataset.issues import note_label_issues, write_label_issues
from ..dataset.judging import JudgingMethod, check_method, judge, method_for
from ..dataset.label_totals import in_words, label_issues_info
from ..dataset.pretrained import pick_backbone
from ..dataset.resizing import settled_for, sizes_before
from ..dataset.since_judged import are_mixed, basis_of_issues
from ..dataset.training_sets import class_indexes
from ..dataset.writing import exclusive
from ..images.unreachable import is_unreachable
from ..jobs.delegating import delegable
from ..model.network import Network
from ..progress import Progress, counted, report_failures, reporting, shares_of, some
from ..review.issue_facts import issues_of
from ..review.kinds import LEAST_IMAGES
from ..review.label_issues import check_folds
from ..review.leaks import equal_files
from ..review.twins import judgeable, twins_of
from ..training.recipes import make_recipe
from .embedding import embeddings_for

KINDS = (None, fo.Classification, fo.Classification)  # of quality, suggestion and issue


def _check(samples, embeddings=None, probabilities=None, **_) -> None:
    """Raise errors of a call immediately, before it is queued as a job."""
    check_can_wait(embeddings)
    if probabilities is not None:
        raise ValueError("A job cannot be given probabilities. Call without delegate=True")


@delegable(check=_check)
@exclusive
def find_label_issues(
    samples: fo.core.collections.SampleCollection,
    label_field: str = "ground_truth",
    folds: int = 5,
    backbone: Network | str | None = None,
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
    """Find wrong labels, by scoring each label with a model that was not trained on its image.

    Three fields are written: `label_quality` (the probability of the given label, predicted without
    this image: 0 to 1, low is suspicious); `suggested_label` with its confidence, where another
    class is more probable; and `issue`, the possible problem, with `evidence` in words and the ids
    of the most similar images (`neighbors`). The label of `issue` is "wrong label" (certain enough
    to be corrected in bulk), "possibly wrong" (another class is more probable, but it is not
    certain), "ambiguous" (two classes are probable), "outlier", "equal files, two labels",
    "near duplicates, two labels", "dark", "light", "blurry", "low information", "odd size",
    "odd aspect ratio" or "too few to judge". `issue.sure` marks labels that may be corrected in
    bulk. The estimated number of wrong labels, in total and for pairs of classes, is printed and
    stored in `dataset.info["label_issues"]`.

    Identical files and near duplicates do not count as evidence for each other's labels. Classes
    with fewer than five distinct images are not judged. Labels that a review confirmed or corrected
    get the quality 1; samples that were excluded or marked unclear are left out.

    Args:
        samples: a dataset or view
        label_field: field with the labels to check
        folds: number of folds of the methods "folds" and "fine-tune", at least 2
        backbone: name of a backbone, or a `Network`; by default (None), the backbone of the newest
            run that started from a weights file, or else one whose ImageNet weights are cached or
            can be downloaded, or else "small_cnn", trained from scratch
        weights: weights of `backbone`: "imagenet", "none", or the path of a weights file; by
            default (None), "imagenet" if the backbone has such weights
        seed: random seed of the folds and of training
        quality_field, suggestion_field, issue_field: fields to write
        overwrite: also replace fields that this plugin did not write
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends
        method: "features" fits a regression on the features of a pretrained network, and predicts
            each image by a model fitted without it (without folds or a seed); features are stored
            for other functions. "folds" fits a logistic regression on the same features for each
            fold. "fine-tune" trains the network once per fold; when it was canceled, the next call
            resumes it. By default (None), "features", or "fine-tune" without pretrained weights
        embeddings: vectors to use instead of the features of a network: an array (N, C) in the
            order of the samples, or the name of a vector field (see `compute_embeddings`)
        probabilities: probabilities predicted by your own model, used instead of a method: an array
            (N, K) in the order of the samples and of the sorted class names, each row predicted by
            a model that was not trained on the image (out-of-fold)
        **choices: options of the training on each fold, as in `fine_tune`

    Returns:
        a view of the judged samples, lowest quality first

    Raises:
        ValueError: if there are fewer than two classes with five images, or if an argument is
            invalid
        FileNotFoundError, ConnectionError: if the weights file does not exist, or ImageNet weights
            are not cached and cannot be downloaded
    """
    samples = fields.whole(samples)
    dataset = fields.root_dataset(samples)
    names = (quality_field, suggestion_field, issue_field)
    fields.check_writable(dataset, dict(zip(names, KINDS, strict=True)), overwrite)
    check_folds(folds)
    check_method(method, embeddings, probabilities, backbone, weights)
    started, (every, paths, labels) = now_text(), fields.labels_of(samples, label_field)
    known = list(fields.class_counts(labels))
    if probabilities is not None:
        probabilities = given_probabilities(probabilities, labels, known)
    left_out = reviews.left_out(samples)
    gone = {i for own in left_out.values() for i in own}
    labels = [None if i in gone else label for i, label in zip(every, labels, strict=True)]
    _check_classes(labels, np.arange(len(labels)))
    embeddings = embeddings_for(samples, embeddings, backbone, weights, device, progress)
    recipe = None
    if embeddings is None and probabilities is None:
        backbone, weights = pick_backbone(
            dataset, backbone, weights, "training small_cnn from scratch once per fold"
        )
        recipe = make_recipe(backbone=backbone, weights=weights, seed=seed, **choices)
        comparing, progress = shares_of(progress, *sizes_before(len(labels)))
        recipe = settled_for(samples, recipe, label_field, device, comparing)
    elif choices:
        raise ValueError(f"{next(iter(choices))} is a training option, but nothing is trained")
    own = np.array([i for i, label in enumerate(labels) if label is not None], np.int64)
    ids, paths, labels = ([values[i] for i in own] for values in (every, paths, labels))
    judging = JudgingMethod(
        "probabilities" if probabilities is not None else method_for(method, recipe),
        recipe,
        None if embeddings is None else embeddings[own],
        None if probabilities is None else probabilities[own],
        folds,
        seed,
        device,
    )
    with reporting(progress, f"Checking {len(ids)} labels with {judging.by}") as report:
        info = image_facts(
            dataset, ids, paths, judging.method, recipe, judging.embeddings, device, report
        )
        twins, group = twins_of(equal_files(paths), info.kinds())
        readable = [label if ok else None for label, ok in zip(labels, info.usable(), strict=True)]
        classes, too_few = _check_classes(readable, group)
        targets = class_indexes(readable, classes)
        places = np.flatnonzero(targets >= 0)
        columns = [known.index(label) for label in classes]
        verdict = judge(dataset, info, places, targets[places], group, judging, columns, report)
    issues = issues_of(
        labels, readable, classes, places, verdict, info.features, twins, group, info.poor()
    )
    unreachable = {ids[i] for i, error in info.failures.items() if is_unreachable(error)}
    judged = {place: row for row, place in enumerate(places.tolist())}
    unjudged = sorted(set(every) - {ids[place] for place in judged} - unreachable)
    decided = reviews.vouched(dataset, label_field)
    vouched = [place for place in judged if decided.get(ids[place]) == labels[place]]
    mixed = are_mixed(dataset, label_issues_info(dataset), label_field, quality_field, every)
    write_label_issues(
        dataset, ids, judged, unjudged, verdict, issues, classes, names, label_field, vouched
    )
    facts = basis_of_issues(
        *(dataset, label_field, quality_field),
        {ids[place]: labels[place] for place in judged},
        *(started, mixed),
    )
    facts |= {
        "label_field": label_field,
        "fields": list(names),
        "method": judging.method,
        "by": judging.by,
    }
    noted = note_label_issues(dataset, verdict, issues, classes, too_few, facts)
    shown.show_fields(dataset, [issue_field])  # more words would hide a small photo
    report_failures(info.failures)
    _report(noted, left_out, dataset.select(list(unreachable)), quality_field)
    return views.label_issues(samples, quality_field)


def _check_classes(
    labels: Sequence[str | None], group: np.ndarray
) -> tuple[list[str], dict[str, int]]:
    """Return the classes that can be judged, and the sizes of the others."""
    classes, too_few = judgeable(labels, group, LEAST_IMAGES)
    if len(classes) < 2:
        counts = fields.class_counts(list(labels))
        present = ", ".join(f"{label!r} ({count})" for label, count in counts.items()) or "none"
        raise ValueError(
            f"Label issues need at least two classes with five different images each; there are: "
            f"{present}"
        )
    return classes, too_few


def _report(
    noted: dict, left_out: dict[str, list[str]], unreachable: fo.DatasetView, quality_field: str
) -> None:
    """Print the results; `unreachable`: samples whose files cannot be read at the moment."""
    if left_out:
        print(f"Left out by reviews: {reviews.left_out_words(left_out)}")
    if kept := len(unreachable.exists(quality_field)):
        whose = counted(kept, "image whose file", "images whose files")
        keep = "keeps its" if kept == 1 else "keep their"
        print(f"{whose} cannot be read now {keep} earlier {quality_field!r}")
    if noted["too_few"]:
        few = [f"{one['class']} ({one['count']})" for one in noted["too_few"]]
        print(f"Too few different images to judge: {some(few)}")
    print(in_words(noted))
    for pair in noted["pairs"][:5]:
        if round(pair["count"]):
            print(f"  about {pair['count']:.0f} of {pair['class']!r} labeled {pair['label']!r}")
    if noted["kinds"]:
        print("Issues: " + ", ".join(f"{n} {kind}" for kind, n in noted["kinds"].items()))
