"""Trainings that are going on: their rows so far, in the database, for whoever looks."""

from __future__ import annotations

import fiftyone as fo
from fiftyone.operators.store import ExecutionStore

STORE = "gradcam_live"


class LiveTraining:
    """What is known of a training that is not a run yet.

    Args:
        dataset: of the training
        key: of its run
        epochs: how many are planned
    """

    def __init__(self, dataset: fo.Dataset, key: str, epochs: int | None = None):
        self.key, self.epochs = key, epochs
        self.store = ExecutionStore.create(STORE, dataset._doc.id)

    def __call__(self, history: list, validations: list, running: dict | None) -> None:
        """Write what there is; the arguments are those of `Hooks.on_rows`."""
        rows = {
            "history": [row.to_dict() for row in history],
            "validations": [row.to_dict() for row in validations],
        }
        self.store.set(self.key, {**rows, "running": running, "epochs": self.epochs})

    def read(self) -> dict | None:
        """What was written last; None if nothing was, or if it is forgotten."""
        return self.store.get(self.key)

    def forget(self) -> None:
        """Remove it: the training has become a run, or was deleted."""
        self.store.delete(self.key)
