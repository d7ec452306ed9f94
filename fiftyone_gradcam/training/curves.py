"""Positions of the results of a training on an axis of epochs."""

from __future__ import annotations

from collections.abc import Sequence

Points = tuple[Sequence[float], Sequence[float]]


def validation_epochs(validations: list[dict]) -> list[float]:
    """Return when each validation took place, in epochs: 2.5 is the middle of the third epoch.

    The number of iterations per epoch is not recorded. It is taken to be the smallest that puts
    each validation within its epoch, which is exact if the training ended with a validation and was
    not interrupted.
    """
    rows = [row for row in validations if row["epoch"] > 0]
    each = max((row["iteration"] / row["epoch"] for row in rows), default=1.0) or 1.0
    return [row["iteration"] / each for row in validations]


def training_points(history: list[dict], name: str) -> Points:
    """Return a training value at the end of each epoch, with a gap after the new layers alone.

    Those saw the images as they are and all other epochs augmented ones, so a line between both
    would show a change that has not taken place.

    Args:
        history: rows of `Epoch.to_dict`
        name: "train_loss" or "train_accuracy"
    """
    ends = [row["epoch"] for row in history]
    values = [row.get(name) for row in history]
    if ends[:1] == [0]:
        ends, values = [0, *ends], [*values[:1], None, *values[1:]]
    return ends, values


def rates_by_epoch(history: list[dict], validations: list[dict]) -> Points:
    """Return the known learning rates: of the first step of each epoch, and of each validation."""
    places = zip(validation_epochs(validations), validations, strict=True)
    rows = [(x, row.get("learning_rate")) for x, row in places if row["iteration"] > 0]
    rows += [(row["epoch"] - 1, row.get("learning_rate")) for row in history if row["epoch"] > 0]
    rows = [(x, rate) for x, rate in rows if rate is not None]
    # If both lie at the end of an epoch, its last step comes before the first step of the next.
    rows.sort(key=lambda row: row[0])
    return [x for x, _ in rows], [rate for _, rate in rows]


def kept_words(best_epoch: float | None) -> str:
    """Return whose weights were kept, in words: "epoch 7" or "the new layers alone".

    Args:
        best_epoch: 0 or None if training all layers did not improve on the new layers alone
    """
    return f"epoch {best_epoch:g}" if best_epoch else "the new layers alone"
