"""Datasets with predictions that nobody made: of many classes, with names that are hard to show."""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo
import numpy as np
from PIL import Image

from fiftyone_gradcam.dataset.fields import describe_field

HOSTILE = (
    "<img src=x onerror=document.title='hit'>",
    '$money & "quotes" {braces}',
    "a.b.c",
    "two\nlines",
    "🦀 crab 🦞",
    "**bold** [link](http://example.org) `code`",
    "one very long name of a class " * 6 + "that ends in alpha",
    "one very long name of a class " * 6 + "that ends in omega",
)


def class_names(count: int) -> list[str]:
    """Names of classes, the hostile ones first."""
    return [*HOSTILE, *(f"species {number:03d}" for number in range(count))][:count]


def scores_of(labels: np.ndarray, classes: int, seed: int = 0, gain: float = 5.0) -> np.ndarray:
    """Made-up class probabilities (N, K): about nine in ten are highest for the label."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += random.normal(gain, 2.0, len(labels))
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def add_predictions(
    samples: list[fo.Sample], scores: np.ndarray, labels: np.ndarray, names: list[str], field: str
) -> None:
    """Give samples what `predict` would: a classification, and the scores of all classes."""
    for sample, row, label in zip(samples, scores, labels, strict=True):
        best = int(row.argmax())
        sample[field] = fo.Classification(
            label=names[best], confidence=float(row[best]), label_score=float(row[label])
        )
        sample[f"{field}_scores"] = row.tolist()


def scored_dataset(name: str, folder: Path, classes: int, per_class: int = 4) -> fo.Dataset:
    """A dataset of noise with the predictions of two runs, "prediction" and "second"."""
    path = str(folder / "noise.png")
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    names = class_names(classes)
    labels = np.repeat(np.arange(classes), per_class)
    samples = [
        fo.Sample(filepath=path, ground_truth=fo.Classification(label=names[label]))
        for label in labels
    ]
    for number, field in enumerate(("prediction", "second")):
        scores = scores_of(labels, classes, number, 5.0 - number)
        add_predictions(samples, scores, labels, names, field)
    dataset = fo.Dataset(name)
    dataset.add_samples(samples, dynamic=True, progress=False)
    for field in ("prediction", "second"):
        facts = {"run": f"run of {field}", "label_field": "ground_truth", "classes": names}
        describe_field(dataset, field, "made up", **facts)
    return dataset
