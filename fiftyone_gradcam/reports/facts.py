"""What a report says: values alone, read by whoever has the dataset."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Picture:
    """A small picture.

    Attributes:
        jpeg: the file
        width, height: in pixels
    """

    jpeg: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Data:
    """What a dataset consists of.

    Attributes:
        label_field: of the labels
        samples, unlabeled: numbers
        parts: names of the splits that there are, in order
        counts: by class, the number of samples of each part; "" stands for no split
        folder, layout: where the images came from, and how it was read; None if unknown
        left_out: numbers of files that the import left out, by reason; None if unknown
        left_out_files: (file, reason) of the first of them
        equal, contradictions: numbers of groups of equal files, and of those with several labels
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


@dataclass(frozen=True)
class Training:
    """A run: see `Run` for what is not explained here.

    Attributes:
        others: keys of the other runs of the dataset
        corrected: number of labels that were corrected since it was trained
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


@dataclass(frozen=True)
class Results:
    """Predictions beside labels.

    Attributes:
        of: which samples were judged, in words
        names: of the classes
        matrix: (K, K) counts, rows are labels, columns predictions
        notes: what is to be known of it
    """

    of: str
    names: list[str]
    matrix: np.ndarray
    notes: list[str]


@dataclass(frozen=True)
class Mistake:
    """A sample that is predicted as another class.

    Attributes:
        picture: with the heatmap over it, if `has_heatmap`; None if it cannot be shown
        file: its name
        score: of the prediction, in [0, 1]
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
        quality: of the label, in [0, 1]; low is suspicious
        suggestion, confidence: the class that is more probable; None if there is none
        evidence: in words
        sure: whether the robust rule calls it wrong
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
    """Labels that may be wrong and that nobody has decided on.

    Attributes:
        words: how many labels are wrong, in a sentence; empty if it was not estimated
        total: number of labels with another class suggested, or of equal files with two labels
        kinds: numbers of open issues by kind, those of the image itself among them
        shown: the most suspicious first
    """

    words: str
    total: int
    kinds: dict[str, int]
    shown: list[Suspect]


@dataclass(frozen=True)
class Correction:
    """A label that was changed.

    Attributes:
        time: in UTC and ISO 8601; None if unknown
    """

    file: str
    old: str | None
    new: str | None
    time: str | None
    source: str
    evidence: str


@dataclass(frozen=True)
class Decisions:
    """What reviews decided.

    Attributes:
        counts: by decision
        total: number of corrections
        shown: the last corrections, the latest first
    """

    counts: dict[str, int]
    total: int
    shown: list[Correction]


@dataclass(frozen=True)
class Facts:
    """All that a report says; None stands for a part that there is nothing of.

    Attributes:
        title: the dataset's name
        part: which of its samples the report is about, in words; empty if all
        made: when, in words
        version: of this package
        mistakes: by class, the worst class first
        heatmaps: whether predictions have heatmaps
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
