"""Kinds of issues that images can have, with evidence in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..progress import counted

EQUAL = "equal files, two labels"
NEAR = "near duplicates, two labels"
WRONG = "wrong label"
OUTLIER = "outlier"
AMBIGUOUS = "ambiguous"
POSSIBLE = "possibly wrong"
FORMER_POSSIBLE = "suspicious label"  # the same in datasets of earlier versions
TOO_FEW = "too few to judge"
POOR = ("dark", "light", "low information", "blurry", "odd aspect ratio", "odd size")
# The first kind that applies is reported.
KINDS = (EQUAL, NEAR, WRONG, OUTLIER, AMBIGUOUS, POSSIBLE, *POOR, TOO_FEW)
OF_LABELS = (EQUAL, NEAR, WRONG)  # kinds that make a label suspicious without a suggestion

LEAST_IMAGES = 5  # minimum number of images of a class that can be judged
BOTH_HIGH = 0.3  # minimum probability of the second class of an ambiguous image


@dataclass(frozen=True)
class Issue:
    """An issue of an image.

    Attributes:
        kind: one of `KINDS`
        confidence: how certain the issue is, in [0, 1]
        evidence: the evidence in words
        neighbors: positions of the most similar images, the nearest first
        sure: whether the label is wrong according to the robust rule, so that its suggestion can be
            accepted without review
    """

    kind: str
    confidence: float
    evidence: str
    neighbors: tuple[int, ...] = ()
    sure: bool = False


@dataclass(frozen=True)
class Facts:
    """Facts about N images, by position.

    Attributes:
        labels: names of the given classes
        classes: names of the K classes that are judged
        rows: maps the position of each judged image to its row in the arrays below
        probabilities: (n, K) estimated without the image itself
        wrong: (n,) bool, whether labels are surely wrong
        chances: (n,) probability that labels are wrong
        strange: (n,) bool, outliers
        distances: (n,) distance to the most similar images, which is high for outliers
        twins: by position, the positions of duplicates of an image, with "equal" or "near"
        poor: name and evidence of each image's quality problem, or None
    """

    labels: Sequence[str]
    classes: Sequence[str]
    rows: Mapping[int, int]
    probabilities: np.ndarray
    wrong: np.ndarray
    chances: np.ndarray
    strange: np.ndarray
    distances: np.ndarray
    twins: Mapping[int, Mapping[int, str]]
    poor: Sequence[tuple[str, str] | None]


def ambiguous(probabilities: np.ndarray) -> np.ndarray:
    """Return which images (n,) have two classes that are both probable."""
    return np.partition(probabilities, -2)[:, -2] >= BOTH_HIGH


def find_issues(facts: Facts, neighbors: Mapping[int, Sequence[int]]) -> dict[int, Issue]:
    """Return the issue of each image that has one.

    Args:
        facts: about all images
        neighbors: positions of the most similar images for those in `with_issues`
    """
    doubtful = ambiguous(facts.probabilities) if facts.rows else np.zeros(0, bool)
    usual = float(np.nanmedian(facts.distances)) if len(facts.distances) else 0.0
    sizes: dict[str, int] = {}
    for label in facts.labels:
        sizes[label] = sizes.get(label, 0) + 1
    found = {}
    for place, label in enumerate(facts.labels):
        kinds: list[tuple[str, float, str]] = []
        others = [
            (t, kind) for t, kind in facts.twins.get(place, {}).items() if facts.labels[t] != label
        ]
        row = facts.rows.get(place)
        if others:
            is_equal = any(kind == "equal" for _, kind in others)
            names = sorted({facts.labels[twin] for twin, _ in others})
            words = f"{'the same file' if is_equal else 'nearly the same image'} is labeled " + (
                " and ".join(map(repr, names))
            )
            kinds.append((EQUAL if is_equal else NEAR, 1.0 if is_equal else 0.9, words))
        if row is not None:
            if facts.wrong[row]:
                kinds.append((WRONG, float(facts.chances[row]), ""))
            if facts.strange[row]:
                distance = facts.distances[row]
                words = f"far from all classes: {distance / max(usual, 1e-12):.1f} times as far "
                words += "from the most similar images as usual"
                kinds.append((OUTLIER, float(1 - usual / max(distance, 1e-12)), words))
            if doubtful[row]:
                second = float(np.partition(facts.probabilities[row], -2)[-2])
                kinds.append((AMBIGUOUS, 2 * second, ""))
            # Another class is more probable, but not certain: such labels need individual review.
            if facts.classes[int(facts.probabilities[row].argmax())] != label:
                kinds.append((POSSIBLE, float(facts.chances[row]), ""))
        if facts.poor[place] is not None:
            kind, words = facts.poor[place]
            kinds.append((kind, 1.0, f"{kind}: {words}"))
        if row is None:
            words = f"{counted(sizes[label], 'image')} of {label!r}: "
            words += f"{LEAST_IMAGES} different ones are needed"
            kinds.append((TOO_FEW, 1.0, words))
        if kinds:
            kind, confidence, _ = kinds[0]
            close = tuple(neighbors.get(place, ()))
            said = [words for _, _, words in kinds if words]
            if row is not None:
                said.insert(
                    0 if kind in (WRONG, AMBIGUOUS, POSSIBLE) else len(said),
                    _judgment(facts, place, row, close),
                )
            found[place] = Issue(
                kind,
                min(max(confidence, 0.0), 1.0),
                "; ".join(said),
                close,
                row is not None and bool(facts.wrong[row]),
            )
    return found


def with_issues(facts: Facts) -> list[int]:
    """Return positions of the judged images that have an issue, whose neighbors are needed."""
    return [place for place in find_issues(facts, {}) if place in facts.rows]


def _judgment(facts: Facts, place: int, row: int, neighbors: tuple[int, ...]) -> str:
    """Describe the probabilities and neighbors of an image.

    For example: "a model trained without this image predicts dog 94.1%, cat 2.3%; 9 of 10 most
    similar images are labeled 'dog'", or "..., but 6 of 10 ... 'cat'" if they contradict the model.
    """
    own = facts.probabilities[row]
    order = np.argsort(-own, kind="stable")[:2].tolist()
    label = facts.labels[place]
    given = list(facts.classes).index(label)
    shown = order if given in order else [order[0], given]
    words = "a model trained without this image predicts "
    words += ", ".join(f"{facts.classes[k]} {own[k]:.1%}" for k in shown)
    if neighbors:
        names = [facts.labels[i] for i in neighbors]
        predicted = facts.classes[order[0]]
        most = max(sorted(set(names)), key=lambda name: (names.count(name), name == predicted))
        words += "; " if most == predicted else ", but "
        words += f"{names.count(most)} of {len(names)} most similar images are labeled {most!r}"
    return words
