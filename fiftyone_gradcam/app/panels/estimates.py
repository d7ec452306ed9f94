"""What the one-click buttons in the tab "Steps" will do, and about how long it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import fiftyone as fo

from ...dataset.fields import whole
from ...dataset.run import Run
from ...dataset.run_files import can_resume
from ...dataset.runs import load_run
from ...training.duration import Speed
from ..operators.recipe_fields import CHOICES, recipe_value
from ..operators.training_time import (
    START_SECONDS,
    Time,
    choices_of,
    images_of,
    outline_of,
    speed_of,
    training_time,
)
from .next_step import COST, START, Next, is_quick, quickly

LONG_SECONDS = 120.0  # of a training, beyond which a quick one is offered beside it
# A prediction with heatmaps takes about as long as this many evaluations of each image: .8 to 1.05
# were measured with mobilenet_v2 on a CPU.
PREDICTION = 1.1
COMPARING = 1.1  # of a retraining, which also compares two runs
TIMED = ("fine_tune", "retrain", "predict")


@dataclass(frozen=True)
class Estimate:
    """What a suggestion will do.

    Attributes:
        what: in words, such as "mobilenet_v2, 10 epochs"
        time: None if it is not known yet
        is_long: whether a quick training should be offered beside it
    """

    what: str
    time: Time | None
    is_long: bool = False

    def __str__(self) -> str:
        known = [self.what, str(self.time) if self.time and self.time.seconds else ""]
        return ", ".join(filter(None, known))


def estimate(dataset: fo.Dataset, one: Next, measures: bool) -> Estimate | None:
    """Estimate how long a suggestion will take; this may count samples, but waits for nothing.

    Args:
        dataset: the dataset
        one: the suggestion
        measures: whether to start a measurement in the background if nothing is known, unless
            another one is in progress

    Returns:
        None if the suggestion starts nothing whose time is estimated
    """
    if one.how != START or one.verb not in TIMED:
        return None
    patience = 0.0 if measures else None
    if one.verb == "fine_tune":
        found = _training({"samples": dataset, "recipe": "default", **one.given}, patience)
        return replace(found, what=f"{found.what} ({COST})") if is_quick(one) else found
    run = load_run(dataset, one.given["run"])
    choices = {name: x for name, x in run.recipe.items() if name in CHOICES}
    if one.verb == "retrain":
        before = _as_before(dataset, run)
        own = {"samples": dataset, "recipe": "default", "label_field": run.label_field, **choices}
        found = _training(own, None if before else patience)
        return Estimate(found.what, before or found.time)
    paths = whole(dataset).limit(8).values("filepath")
    speed = speed_of(dataset, "default", choices, len(run.classes), paths, patience, True)
    if isinstance(speed, Speed):
        seconds = len(dataset) * (speed.decode + PREDICTION * speed.look) + START_SECONDS
        return Estimate("", Time(seconds, speed.device))
    return Estimate("", speed)


def with_quick(options: list[Next]) -> list[Next]:
    """Return suggestions, with a quick training after each training."""
    found = []
    for one in options:
        found.append(one)
        if one.verb == "fine_tune" and one.how == START:
            found.append(quickly(one))
    return found


def _training(given: dict, patience: float | None) -> Estimate:
    images = images_of(given)
    outline = outline_of(given).settled(images.train_count)
    backbone = recipe_value(choices_of(given), "backbone")
    time = training_time(given, images, patience, yields=True)
    epochs = "1 epoch" if outline.epochs == 1 else f"{outline.epochs} epochs"
    is_long = bool(time and (time.seconds or 0) > LONG_SECONDS) and not outline.from_scratch
    if outline.freeze == "backbone":
        return Estimate(f"{backbone}, only the new layers", time)
    return Estimate(f"{backbone}, {epochs}", time, is_long)


def _as_before(dataset: fo.Dataset, run: Run) -> Time | None:
    """Return how long a run was trained for on this machine; None if it was not trained here."""
    rows = [row for row in run.history if row.get("seconds")]  # other versions stored none
    epochs = [row["seconds"] for row in rows if row["epoch"] > 0]
    if not epochs or not can_resume(dataset, run.key):  # an imported run has no training state
        return None
    first = sum(row["seconds"] for row in rows if row["epoch"] == 0)
    planned = run.recipe.get("epochs") or len(epochs)
    seconds = first + planned * sum(epochs) / len(epochs)
    return Time(COMPARING * seconds + START_SECONDS)
