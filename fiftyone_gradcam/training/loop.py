"""The training loop: train, validate, keep the best weights, and resume."""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from ..model.device import pick_device
from ..progress import CancelledError
from .course import Course, finished
from .history import Epoch, Hooks, Trained, Validation
from .learner import Learner, Sums
from .optimization import draw_order, few_of_each, make_optimizer, rate_factor
from .recipe import Recipe
from .sources import Features, Labelled, Pictures, compute_features
from .work import CACHED, FORWARD, LEARN, work_of

FEATURE_BYTES = 2 << 30  # memory for features; with more features than that, images are read again
TELL_SECONDS = 1.0  # between two reports of the current epoch
FINITE_EVERY = 16  # steps between checks of the loss on a GPU, which the check synchronizes


class DivergedError(Exception):
    """The loss is no longer finite."""


def train(
    recipe: Recipe,
    num_classes: int,
    train_set: Labelled,
    val_set: Labelled | None = None,
    device: str | None = None,
    hooks: Hooks | None = None,
    state: dict | None = None,
) -> Trained:
    """Train a classifier with a recipe.

    The best validation is the one with the highest accuracy on `val_set`; ties are broken by the
    lower loss. Without a `val_set`, the last epoch is the best. torch's global random state is
    restored afterwards. Each epoch draws its random numbers from the seed and its own number, so
    that a resumed training gives the same result as one without a break.

    Args:
        recipe: the settings
        num_classes: number of classes K
        train_set, val_set: training images and validation images
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        hooks: callbacks
        state: resume from this state, which `Hooks.on_state` got from a training with the same
            recipe (`epochs` and `early_stopping` may differ) on the same images

    Raises:
        ValueError: if none of the training images can be decoded, or the loss was never finite
        CancelledError: if `hooks` raises it and there are no weights to keep yet
    """
    device = pick_device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        loop = Loop(recipe, num_classes, train_set, val_set, device, hooks or Hooks())
        if state is not None:
            loop.restore(state)
        return loop.run()


class Loop:
    """A training in progress (see `train`)."""

    def __init__(
        self,
        recipe: Recipe,
        num_classes: int,
        train_set: Labelled,
        val_set: Labelled | None,
        device: torch.device,
        hooks: Hooks,
    ):
        self.recipe = recipe = recipe.settled(train_set.labels[train_set.positions])
        self.hooks, self.device = hooks, device
        random, positions = self.start_draws(0), train_set.positions
        if recipe.images_per_class is not None:
            positions = few_of_each(positions, train_set.labels, recipe.images_per_class, random)
        self.train_set = Labelled(train_set.images, train_set.labels, positions)
        self.val_set = val_set if val_set is not None and len(val_set) else None
        labels = train_set.labels[positions]
        self.learner = Learner(recipe, num_classes, device, labels, self.hooks.on_note)
        self.feature_bytes = self.learner.feature_bytes()
        backbone = self.learner.backbone
        self.train_source = Pictures(self.train_set, recipe, num_classes, backbone, device)
        self.val_source: Pictures | Features | None = None
        if self.val_set is not None:
            self.val_source = Pictures(self.val_set, recipe, num_classes, backbone, device)
        self.steps = math.ceil(len(positions) / recipe.batch_size) * recipe.epochs
        self.features: tuple | None = None
        self.since, self.before = time.perf_counter(), 0.0
        self.done, self.total, self.reported = 0.0, 1.0, 0.0
        self.began, self.watching, self.sums = 0.0, 0.0, Sums()  # of the epoch
        self.learn_work = LEARN  # for an image
        self.course = Course()  # what to resume from, besides the learner

    def start_draws(self, epoch: int) -> np.random.Generator:
        """Seed torch and return numpy's generator for an epoch."""
        seeds = np.random.SeedSequence([self.recipe.seed, epoch])
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        return np.random.default_rng(seeds.spawn(1)[0])

    @property
    def seconds(self) -> float:
        """Seconds since the training started, without breaks."""
        return self.before + time.perf_counter() - self.since

    def run(self) -> Trained:
        """Train from the current state to the end."""
        recipe, course = self.recipe, self.course
        cached = recipe.freeze == "backbone" and not recipe.augments and self._room() > 0
        head_first = recipe.head_epochs and not (cached or recipe.from_scratch or course.history)
        val_images = len(self.val_set) if self.val_set else 0
        counts = (len(self.train_set), val_images)
        work = work_of(recipe, *counts, self._room() > 0, bool(course.history))
        self.learn_work = work.learn
        self.done, self.total = course.epoch * work.epoch, work.once + recipe.epochs * work.epoch
        diverged = cancelled = False
        try:
            if cached:
                self.train_source, self.val_source = self._compute_features()
            elif head_first:
                self.train_head()
            while course.epoch < recipe.epochs and not course.is_stale(recipe.early_stopping):
                self._run_epoch(course.epoch + 1)
        except DivergedError:
            diverged = True
            if course.best is None:
                raise ValueError(
                    f"The training loss is no longer finite at learning_rate="
                    f"{recipe.learning_rate:g}. Lower it, for example tenfold"
                ) from None
        except CancelledError:
            if course.best is None:
                raise
            cancelled = True
        return finished(course, self.learner, self.features, diverged, cancelled)

    def _room(self) -> int:
        """Return how many training images fit in memory as features; 0 if not all of them do."""
        room = FEATURE_BYTES // self.feature_bytes - (len(self.val_set) if self.val_set else 0)
        return room if room >= len(self.train_set) else 0

    def _compute_features(self) -> tuple[Features, Features | None]:
        """Compute the features of both sets with the current weights."""
        model = self.learner.model
        self.hooks.on_stage("Extracting features")
        learn = compute_features(model, self.train_source, self.advance)
        self.check_decoded()
        watch = self.val_source and compute_features(model, self.val_source, self.advance)
        self.features = (learn.averages(), watch.averages()) if watch else None
        return learn, watch

    def train_head(self) -> None:
        """Train only the new layers, on features computed once, if the features fit in memory."""
        if not self._room():
            return
        recipe, learner, random = self.recipe, self.learner, self._begin_epoch(0)
        learn, watch = self._compute_features()
        optimizer = make_optimizer(recipe, [], learner.new)
        steps, step = self.steps // recipe.epochs * recipe.head_epochs, 0
        reader = learn.reader(learner.model)
        learner.freezer.train(len(learner.freezer.stages))
        self.hooks.on_stage("Training the new layers")
        for _ in range(recipe.head_epochs):
            self.sums = Sums()
            order = draw_order(self.train_set.positions, self.train_set.labels, recipe, random)
            for batch in learn.batches(order):
                factor = rate_factor("cosine", 0.0, step, steps)
                learner.learn(batch, reader, self.sums, factor, optimizer)
                step += 1
            if not self.sums.is_finite:
                raise DivergedError
        learner.restart_average()
        self._validate(watch, "New layers")
        self._end_epoch(0.0)

    def _begin_epoch(self, number: int) -> np.random.Generator:
        self.course.epoch, self.began, self.watching = number, self.seconds, 0.0
        self.sums = Sums()
        return self.start_draws(number)

    def _run_epoch(self, number: int) -> None:
        recipe, learner, random = self.recipe, self.learner, self._begin_epoch(number)
        course = self.course
        frozen = learner.freezer.frozen(number)
        learner.freezer.train(frozen)
        reader, rate = self.train_source.reader(learner.model), None
        stage = f"Epoch {number} of {recipe.epochs}"
        self.hooks.on_stage(stage)
        order = draw_order(self.train_set.positions, self.train_set.labels, recipe, random)
        for batch in self.train_source.batches(order, random):
            factor = rate_factor(recipe.schedule, recipe.warmup, course.iteration, self.steps)
            learner.learn(batch, reader, self.sums, factor)
            rate = recipe.learning_rate * factor if rate is None else rate
            course.iteration += 1
            checked = self.device.type == "cpu" or course.iteration % FINITE_EVERY == 0
            if checked and not self.sums.is_finite:
                raise DivergedError
            self.advance(len(batch.positions) * self.learn_work)
            self._report_running()
            if recipe.validate_every and course.iteration % recipe.validate_every == 0:
                self._validate(self.val_source, stage)
                learner.freezer.train(frozen)
                self.hooks.on_stage(stage)
                if course.is_stale(recipe.early_stopping):
                    break
        if not self.sums.is_finite:
            raise DivergedError
        self.check_decoded()
        seen = course.validations[-1].iteration if course.validations else -1
        if not recipe.validate_every or (number == recipe.epochs and seen < course.iteration):
            self._validate(self.val_source, stage)
        self._end_epoch(rate)

    def _report_running(self) -> None:
        """Report the current epoch, about once a second."""
        if self.hooks.on_rows is None or self.seconds - self.reported < TELL_SECONDS:
            return
        self.reported, course = self.seconds, self.course
        loss, accuracy, count = self.sums.read()
        place = course.epoch - 1 + count / len(self.train_set)
        running = {"epoch": place, "train_loss": loss, "train_accuracy": accuracy}
        self.hooks.on_rows(course.history, course.validations, running)

    def _speed(self, count: int) -> float:
        """Return the training images per second of the epoch so far."""
        return count / max(self.seconds - self.began - self.watching, 1e-9)

    def _validate(self, source: Pictures | Features | None, stage: str) -> None:
        """Evaluate on the validation images, and keep the weights if they are the best so far."""
        start, course = self.seconds, self.course
        loss, accuracy, count = self.sums.read()
        speed, rate = self._speed(count), self.learner.rate
        look = CACHED if isinstance(source, Features) else FORWARD
        self.hooks.on_stage(f"{stage}: validation")
        found = source and self.learner.evaluate(source, lambda n: self.advance(n * look))
        if found and not math.isfinite(found.loss):
            raise DivergedError
        if found and len(found.positions):
            course.dead = found.dead
            own = (loss, accuracy, found.loss, found.accuracy, rate, start, speed)
            course.validations.append(Validation(course.iteration, course.epoch, *own))
            if course.is_best(found):
                course.keep(self.learner.kept, found)
            if self.hooks.on_rows is not None:
                self.hooks.on_rows(course.history, course.validations, None)
        self.watching += self.seconds - start

    def _end_epoch(self, rate: float) -> None:
        course, (loss, accuracy, count) = self.course, self.sums.read()
        own = [row for row in course.validations if row.epoch == course.epoch]
        val = (own[-1].val_loss, own[-1].val_accuracy) if own else (None, None)
        seconds, speed = self.seconds - self.began, self._speed(count)
        course.history.append(Epoch(course.epoch, loss, accuracy, *val, rate, seconds, speed))
        if not course.validations:  # without validation, the last epoch is kept
            if not self.learner.is_finite():
                raise DivergedError  # the last step made them infinite, after its loss was computed
            course.dead = self.sums.dead
            course.keep(self.learner.kept)
        if self.hooks.on_rows is not None:
            self.hooks.on_rows(course.history, course.validations, None)
        self.hooks.on_epoch(self.learner.kept, course.epoch)
        if self.hooks.on_state is not None:
            self.hooks.on_state({**self.learner.state(), **course.state(), "seconds": self.seconds})
        self._report(course.history[-1])

    def restore(self, state: dict) -> None:
        """Resume from a state."""
        self.learner.restore(state)
        self.before = state["seconds"]
        self.course = Course.restored(state)

    def check_decoded(self) -> None:
        """Raise an error if none of the training images can be decoded."""
        self.train_set.images.check_readable(self.train_set.positions)

    def advance(self, work: float) -> None:
        """Report that more work is done, in forward passes of an image."""
        self.done = min(self.done + work, self.total)
        self._report(None)

    def _report(self, epoch: Epoch | None) -> None:
        self.hooks.on_step(round(self.done), max(round(self.total), 1), epoch)
