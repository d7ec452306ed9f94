"""Trainings with faults, and what is said of them."""

from dataclasses import replace

import numpy as np
from conftest import QUICK
from torch import nn

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.review.leaks import leaks_between
from fiftyone_gradcam.training.diagnosis import diagnose
from fiftyone_gradcam.training.history import Epoch, Trained, Validation
from fiftyone_gradcam.training.loop import train
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.sources import Labelled

NAMES = ["a", "b", "c"]
SQUEEZENET = {"backbone": "squeezenet1_1", "image_size": 64}


def recipe(**choices) -> Recipe:
    return Recipe(**{**QUICK, "epochs": 4, **choices})


def sets(files, side=16, labels=None):
    paths, own = files
    labels = own if labels is None else labels
    validation = np.arange(len(paths)) % 3 == 0
    parts = []
    for chosen in (~validation, validation):
        images = Images([p for p, c in zip(paths, chosen, strict=True) if c], side, 1 << 24)
        parts.append(Labelled(images, labels[chosen]))
    return parts


def few(data: Labelled, **counts: int) -> Labelled:
    """The set with so many images of the classes "a", "b" and "c"."""
    kept = [np.flatnonzero(data.labels == NAMES.index(k))[:n] for k, n in counts.items()]
    kept = np.concatenate(kept)
    return Labelled(Images([data.images.paths[i] for i in kept], 16, 1 << 24), data.labels[kept])


def train_and_say(data, validation=None, **choices):
    """Train, look for leaks and diagnose, as `fine_tune` does."""
    chosen = recipe(**choices)
    found = train(chosen, 3, data, validation, device="cpu")
    if validation is None:
        return diagnose(chosen, NAMES, found, data.labels, np.empty(0, np.int64))
    leaks = leaks_between(data.images.paths, validation.images.paths, found.features)
    truth = validation.labels[found.val_positions]
    return diagnose(chosen, NAMES, found, data.labels, truth, leaks)


def names(findings) -> list[str]:
    return [finding.name for finding in findings]


def hand_made(
    train_losses=(0.8, 0.4, 0.2),
    val_losses=(0.8, 0.5, 0.4),
    *,
    train_accuracy=0.95,
    val_accuracy=0.9,
    head_change=0.5,
    dead=0.0,
) -> Trained:
    """A training with these curves; `say` fills in its predictions."""
    losses = val_losses or [None] * len(train_losses)
    accuracy = val_accuracy if val_losses else None
    pairs = enumerate(zip(train_losses, losses, strict=True), 1)
    history = [Epoch(n, a, train_accuracy, b, accuracy, 1e-4, 1.0, 10.0) for n, (a, b) in pairs]
    looks = [
        Validation(n, n, 1.0, 0.5, b, accuracy, 1e-4, 1.0, 9.0) for n, b in enumerate(val_losses, 1)
    ]
    return Trained(nn.Identity(), history, looks, 3, accuracy, head_change=head_change, dead=dead)


def say(
    trained=None, validation=(), right=None, predicted=None, counts=(60, 60), leaks=(), **choices
):
    """Diagnose by numbers of validation images of each class, and of right or all predictions."""
    truth = np.repeat(np.arange(len(validation)), validation)
    if predicted is None:
        guess = truth.copy()
        wrong = np.linspace(0, len(truth) - 1, len(truth) - right).astype(int)
        guess[wrong] = (guess[wrong] + 1) % len(validation)
    else:
        guess = np.repeat(np.arange(len(predicted)), predicted)
    found = replace(
        trained or hand_made(), val_positions=np.arange(len(truth)), val_predicted=guess
    )
    labels = np.repeat(np.arange(len(counts)), counts)
    return diagnose(recipe(**choices), NAMES[: len(counts)], found, labels, truth, leaks)
