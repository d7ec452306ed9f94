"""The contents of a report as plain values, without FiftyOne."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..review.comparison import Pairs


@dataclass(frozen=True)
class Picture:
    """A thumbnail.

    Attributes:
        jpeg: contents of the JPEG file
        width, height: size in pixels
    """

    jpeg: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Data:
    """Facts about a dataset.

    Attributes:
        label_field: field with the labels
        samples, unlabeled: numbers of samples, and of samples without a label
        parts: names of the existing splits, in order
        counts: for each class, the number of samples in each split; "" stands for no split
        folder, layout: the imported folder, and how it was read; None if unknown
        left_out: numbers of files that should be images and were left out, by reason; None if
            unknown
        left_out_files: (file, reason) of the first of them
        equal, contradictions: numbers of groups of identical files, and of those with several
            labels
        skipped: numbers of files that the import skipped, such as files that are not images, by
            reason; None if unknown
    """

    label_field: str
    samples: int
    unlabeled: int
    parts: list[str]
    counts: dict[str, dict[str, int]]
    folder: str | None = None
    layout: str | None = None
    left_out: dict[str, int] | None = None
    left_out_files: list[tuple[str, str]] = field(default_factory=list)
    equal: int = 0
    contradictions: int = 0
    skipped: dict[str, int] | None = None


@dataclass(frozen=True)
class Training:
    """Facts about a run; see `Run` for attributes that are not described here.

    Attributes:
        others: keys of the other runs of the dataset
        corrected: number of labels that were corrected since the training
        retrained: key of a run that was trained on the corrected labels; None if there is none
    """

    key: str
    trained: str | None
    classes: int
    recipe: dict
    history: list[dict]
    validations: list[dict]
    best_epoch: int
    val_accuracy: float | None
    val_images: int | None
    findings: list[dict]
    others: list[str]
    corrected: int = 0
    retrained: str | None = None


@dataclass(frozen=True)
class Results:
    """Predictions compared with labels.

    Attributes:
        of: the samples that are compared, in words
        names: names of the classes
        matrix: (K, K) counts; rows are labels and columns are predictions
        notes: remarks on the result
    """

    of: str
    names: list[str]
    matrix: np.ndarray
    notes: list[str]


@dataclass(frozen=True)
class Compared:
    """A comparison of two runs on the same samples.

    Attributes:
        a, b: keys of the runs
        made: time of the comparison, in words
        pairs: numbers of samples that each classifies correctly
        classes: the same numbers for the samples of each class
        notes: remarks on the result
    """

    a: str
    b: str
    made: str
    pairs: Pairs
    classes: dict[str, Pairs]
    notes: list[str]


@dataclass(frozen=True)
class Mistake:
    """A sample whose prediction differs from its label.

    Attributes:
        picture: the image, with the heatmap over it if `has_heatmap`; None if it cannot be shown
        file: name of the file
        score: confidence of the prediction, in [0, 1]
    """

    picture: Picture | None
    has_heatmap: bool
    file: str
    label: str
    predicted: str
    score: float | None


@dataclass(frozen=True)
class Suspect:
    """A label that may be wrong.

    Attributes:
        quality: quality of the label, in [0, 1]; low is suspicious
        suggestion, confidence: the class that is more probable, and its confidence; None if there
            is none
        evidence: evidence in words
        sure: whether the label may be corrected in bulk
    """

    picture: Picture | None
    file: str
    label: str
    quality: float | None
    suggestion: str | None
    confidence: float | None
    evidence: str
    sure: bool


@dataclass(frozen=True)
class Suspects:
    """Labels that may be wrong and are not reviewed yet.

    Attributes:
        words: the estimated number of wrong labels, in a sentence; empty if it was not estimated
        progress: the numbers of suspicious, reviewed and corrected labels of the dataset, in words;
            empty for a view
        total: number of labels with a suggestion, or of identical files with two labels
        kinds: numbers of open issues by kind, including issues of the image itself
        shown: labels to show, most suspicious first
    """

    words: str
    progress: str
    total: int
    kinds: dict[str, int]
    shown: list[Suspect]


@dataclass(frozen=True)
class Correction:
    """A label that was changed.

    Attributes:
        time: time in UTC and ISO 8601; None if unknown
        picture: the image; None if it is not shown, or cannot be
    """

    file: str
    old: str | None
    new: str | None
    time: str | None
    source: str
    evidence: str
    picture: Picture | None = None


@dataclass(frozen=True)
class Decisions:
    """Decisions of reviews.

    Attributes:
        counts: number of decisions by kind
        total: number of corrections
        labels: number of labels whose last decision changed them
        shown: latest corrections, latest first
        pictured: number of these, from the first, that are shown with their image
        left_out: for "exclude" and "unclear", the number of samples whose last decision this is,
            and the files of the latest, latest first
    """

    counts: dict[str, int]
    total: int
    labels: int
    shown: list[Correction]
    pictured: int = 0
    left_out: dict[str, tuple[int, list[str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """All contents of a report; sections without data are None.

    Attributes:
        title: name of the dataset
        part: the samples that the report is about, in words; empty for all samples
        made: time of the report, in words
        version: version of this package
        mistakes: mistakes by class, worst class first
        heatmaps: whether there are heatmaps of the predictions
    """

    title: str
    part: str
    made: str
    version: str
    data: Data
    training: Training | None
    results: Results | None
    mistakes: dict[str, list[Mistake]]
    heatmaps: bool
    suspects: Suspects | None
    decisions: Decisions | None
    compared: Compared | None = None
