"""Judge labels by given probabilities, by features, or by cross-validated trainings."""

from __future__ import annotations

import os
from dataclasses import dataclass

import fiftyone as fo
import numpy as np

from ..model.network import Network
from ..progress import Report
from ..review.label_issues import folds_of, out_of_fold_probabilities
from ..review.twins import left_out_together
from ..review.verdict import Verdict, verdict_by_features, verdict_by_probabilities
from ..similar import did_you_mean
from ..training.per_fold import probabilities_per_fold
from ..training.recipe import Recipe
from .embeddings import Embeddings, check_one_source
from .files import dataset_folder
from .image_facts import ImageFacts

METHODS = ("features", "folds", "fine-tune")
LEAST = 1e-12  # lower bound of a probability
FOLDS = "folds"  # folder for the results per fold of an unfinished call


@dataclass(frozen=True)
class JudgingMethod:
    """The method by which labels are judged, one of `METHODS` or "probabilities", and its options.

    Attributes:
        method: the method; "probabilities" if the user passes probabilities
        recipe: the recipe of the features or trainings; None if there is none
        embeddings: (N, C), the user's embeddings; None if there are none
        probabilities: (N, K), the user's probabilities; None if there are none
        folds: the number of folds of "folds" and "fine-tune"
        seed: the random seed of the folds
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
    """

    method: str
    recipe: Recipe | None
    embeddings: np.ndarray | None
    probabilities: np.ndarray | None
    folds: int
    seed: int
    device: str | None

    @property
    def by(self) -> str:
        """The source of the judgment in words, such as the name of the backbone."""
        if self.probabilities is not None:
            return "your probabilities"
        return "your embeddings" if self.recipe is None else self.recipe.backbone


def check_method(
    method: str | None,
    embeddings: Embeddings | None,
    probabilities: np.ndarray | None,
    backbone: Network | str | None,
    weights: str | None,
) -> None:
    """Check that the arguments of `find_label_issues` do not contradict each other.

    Raises:
        ValueError: if they do, or if there is no such method
    """
    if method is not None and method not in METHODS:
        raise ValueError(
            f"method {method!r} is not one of {', '.join(map(repr, METHODS))}. "
            f"{did_you_mean(method, METHODS)}".rstrip()
        )
    check_one_source(embeddings, backbone=backbone, weights=weights)
    if probabilities is not None:
        for name, value in (("method", method), ("backbone", backbone), ("weights", weights)):
            if value is not None:
                raise ValueError(
                    f"Pass probabilities or {name}={value!r}, not both: probabilities replace it"
                )
    if embeddings is not None and method == "fine-tune":
        raise ValueError("Pass embeddings or method='fine-tune', not both: fine-tuning uses images")


def method_for(method: str | None, recipe: Recipe | None) -> str:
    """Return the chosen method, or the default one for a recipe (None if embeddings are given).

    Raises:
        ValueError: if the method needs pretrained weights and the recipe has none
    """
    from_scratch = recipe is not None and recipe.from_scratch
    if method in ("features", "folds") and from_scratch:
        raise ValueError(
            f"method={method!r} needs features of a pretrained network, and {recipe.backbone} has "
            f"weights={recipe.weights!r}. Choose weights or another backbone, or method='fine-tune'"
        )
    return method or ("fine-tune" if from_scratch else "features")


def judge(
    dataset: fo.Dataset,
    looks: ImageFacts,
    places: np.ndarray,
    targets: np.ndarray,
    group: np.ndarray,
    method: JudgingMethod,
    columns: list[int],
    report: Report,
) -> Verdict:
    """Judge the labels of the samples at some positions.

    Args:
        dataset: the dataset of the samples
        looks: facts about the N images
        places: (M,) positions of the samples to judge
        targets: (M,) class indexes of their labels
        group: (N,) the group of near duplicates of each image
        method: the method and its options
        columns: the columns of `method.probabilities` that belong to the judged classes
        report: called with the progress of a training
    """
    group = group[places]
    if method.method == "probabilities":
        found = np.maximum(method.probabilities[places][:, columns], LEAST)
        found /= found.sum(1, keepdims=True)
    elif method.method == "features":
        groups = left_out_together(group)
        return verdict_by_features(looks.features[places], targets, len(columns), groups)
    elif method.method == "folds":
        found = out_of_fold_probabilities(
            looks.features[places], targets, len(columns), method.folds, method.seed, groups=group
        )
    else:
        fold = folds_of(targets, method.folds, method.seed, group)
        home = os.path.join(dataset_folder(dataset), FOLDS)
        found = probabilities_per_fold(
            looks.images, places, targets, fold, method.recipe, method.device, report, home
        )
    return verdict_by_probabilities(found, targets)
