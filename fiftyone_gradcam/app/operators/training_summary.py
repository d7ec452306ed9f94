"""A summary of a training, shown before it starts."""

from __future__ import annotations

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ...dataset.fields import OWNER
from ...jobs.measure import wait_for_measurement
from ...progress import counted
from ...training.known_recipes import RECIPES
from .forms import notice, refuse
from .training_time import Images, choices_of, images_of, outline_of, training_time

PATIENCE_SECONDS = 0.5  # a form must not wait for PyTorch to be loaded
LONGEST_SECONDS = 20.0  # maximum time to wait for a measurement; on a busy machine it takes longer
MOST_NAMES = 8
ESTIMATE = "training_estimate"


def summary_view(ctx, inputs: types.Object, given: dict, images: Images) -> None:
    """Show the data, the network, the device and the estimated time of a training.

    Args:
        ctx, inputs: the form
        given: the arguments of `fine_tune`, by name
        images: those of the training
    """
    by_class = images.by_class
    if len(by_class) < 2:
        refuse(inputs, "few_classes", _too_few(given, by_class))
        return
    names = [f"{name} {count}" for name, count in list(by_class.items())[:MOST_NAMES]]
    left = len(by_class) - MOST_NAMES
    more = f" and {counted(left, 'more class', 'more classes')}" if left > 0 else ""
    parts = [f"{images.train_count} training images ({', '.join(names)}{more})"]
    parts.append(_validation(images.val_count))
    if not images.is_split:
        parts.insert(0, "Not split yet: the images are split into train, val and test first")
    frozen = given.get("freeze", RECIPES[given["recipe"]].choices.get("freeze", "none"))
    learns = {"none": "All layers are trained", "backbone": "Only the new layers are trained"}
    parts.append(learns.get(frozen, f"All but the first {frozen} stages are trained"))
    time = training_time(given, images, PATIENCE_SECONDS)
    about = repr([given["recipe"], choices_of(given)])
    if time is not None:
        words = str(time)
        parts.append(words[0].upper() + words[1:])
    elif was_in_vain(ctx, about):
        parts.append("No estimate of the time: the machine is busy")
    notice(inputs, "summary", ". ".join(parts))
    if time is None and not was_in_vain(ctx, about):  # the form is rebuilt when it is measured
        inputs.loader(
            ESTIMATE,
            type=types.Object(),
            operator=f"{OWNER}/{ESTIMATE}",
            params={"about": about},
            label="Estimating the time ...",
            dependencies=["about"],
        )


def epochs_words(given: dict, images: Images, repeated: int | None) -> str:
    """Return the number of epochs if none is filled in, such as "10 for 238 training images".

    Args:
        given: the arguments of `fine_tune`, by name
        images: those of the training
        repeated: the epochs of the recipe or run that is repeated; None if it leaves them open
    """
    if repeated:
        return f"{repeated}"
    own = outline_of({name: x for name, x in given.items() if name != "epochs"})
    if own.epochs is not None or not images.train_count:
        return f"{own.epochs or ''}"
    epochs = own.settled(images.train_count).epochs
    return f"{epochs} for {counted(images.train_count, 'training image')}"


def was_in_vain(ctx, about: str) -> bool:
    """Return whether the form has waited for a measurement as long as it does."""
    answer = (ctx.params.get(ESTIMATE) or {}).get("data") or {}
    return answer.get("about") == about and not answer.get("is_there")


def expected_seconds(given: dict) -> float | None:
    """Return the time that the form has estimated for a training; None if it did not.

    Args:
        given: the arguments of `fine_tune`, by name
    """
    time = training_time(given, images_of(given), None)
    return time.seconds if time else None


class TrainingEstimate(foo.Operator):
    """Wait for the measurement that a form has started; an unlisted operator."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return the configuration of an unlisted operator."""
        return foo.OperatorConfig(name=ESTIMATE, label=ESTIMATE, unlisted=True)

    def execute(self, ctx) -> dict:
        """Answer when the measurement is complete, or the waiting time is over."""
        is_there = wait_for_measurement(LONGEST_SECONDS)
        return {"is_there": is_there, "about": ctx.params.get("about")}


def _too_few(given: dict, by_class: dict[str, int]) -> str:
    where = "" if isinstance(given["samples"], fo.Dataset) else " in this view"
    found = f"there are none{where}"
    if by_class:
        found = f"those{where} are all of {next(iter(by_class))!r}"
    return (
        f"A classifier needs training images of two classes, and {found}. Tag "
        f"images as train (Split does it), or choose other samples"
    )


def _validation(count: int) -> str:
    if count:
        return f"{count} validation images"
    return "No validation images: tag some as val to see how well it learns"
