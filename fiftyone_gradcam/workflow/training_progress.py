"""The progress of `fine_tune`: of all its steps together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..dataset.live import LiveTraining
from ..progress import CancelledError, Progress, Report, shares_of
from ..training.history import Epoch, Hooks, Trained
from ..training.recipe import Recipe
from ..training.resizing import comparison_work
from ..training.sources import Labelled
from ..training.watching import Watch
from ..training.work import work_of

SAVING = 0.02  # relative to the work of a training


def steps_of(
    recipe: Recipe, train_set: Labelled, val_set: Labelled | None, progress: Progress
) -> tuple[Progress, ...]:
    """Return the progress of comparing resize methods, of training, and of saving the run."""
    recipe = recipe.settled(train_set.labels)
    counts = np.bincount(train_set.labels)
    if recipe.images_per_class is not None:
        counts = np.minimum(counts, recipe.images_per_class)
    work = work_of(recipe, int(counts.sum()), len(val_set) if val_set else 0)
    compared, learned = comparison_work(recipe, train_set.labels), work.once
    learned += recipe.epochs * work.epoch
    return shares_of(progress, compared, learned, SAVING * (compared + learned))


def naming_phase(progress: Progress) -> Progress:
    """Let the error of a cancellation name the phase of the training.

    The training keeps what it has learned, and shows this error only if this is nothing.

    Args:
        progress: of the training
    """
    if not callable(progress):
        return progress

    def report(done: int, total: int, message: str) -> None:
        try:
            progress(done, total, message)
        except CancelledError:
            phase = message.partition(" · ")[0]
            raise CancelledError(
                f"Canceled before anything was learned, in the phase “{phase}”: nothing is kept"
            ) from None

    return report


class TrainingReporter:
    """Updates the progress of a training, and prints a line after each epoch."""

    def __init__(self, report: Report, recipe: Recipe, prints: bool):
        self.report, self.prints = report, prints
        self.stage, self.last = f"Training {recipe.backbone}", ""

    def name(self, stage: str) -> None:
        """Name the step that starts."""
        self.stage = stage

    def __call__(self, done: int, total: int, epoch: Epoch | None) -> None:
        """Report the work that is done."""
        if epoch is not None:
            self.last = str(epoch)
            if self.prints:
                print(f"\r{self.last:<79}", flush=True)  # overwrites the bar, redrawn below
        self.report(done, total, f"{self.stage} · {self.last}" if self.last else self.stage)


def hooks_of(
    report: Report,
    recipe: Recipe,
    prints: bool,
    recorder: Watch | None,
    keep_state: Callable[[dict], None],
    live: LiveTraining,
) -> Hooks:
    """Return the callbacks of a training, with those that report its progress.

    Args:
        report: is called with the progress
        recipe: of the training
        prints: whether to print a line after each epoch
        recorder: takes heatmaps after each epoch; None if none are asked for
        keep_state: takes the state to resume from
        live: takes the curves
    """
    own = TrainingReporter(report, recipe, prints)
    return Hooks(own, recorder or (lambda *_: None), keep_state, live, print, own.name)


def report_saving(saving: Progress, trained: Trained) -> None:
    """Report that the training is over and its run is saved, even if this cancels it."""
    if callable(saving):
        try:
            saving(0, 1, "Saving the run")
        except CancelledError:
            trained.cancelled = True
