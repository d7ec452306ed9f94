"""Trainings in progress: their curves so far, stored in the database so that the App shows them."""

from __future__ import annotations

import fiftyone as fo
from fiftyone.operators.store import ExecutionStore

STORE = "gradcam_live"


class LiveTraining:
    """The progress of a training that is not a run yet.

    Args:
        dataset: the dataset that is trained on
        key: the key that the run will have
        epochs: the number of epochs planned
    """

    def __init__(self, dataset: fo.Dataset, key: str, epochs: int | None = None):
        self.key, self.epochs = key, epochs
        self.store = ExecutionStore.create(STORE, dataset._doc.id)

    def __call__(self, history: list, validations: list, running: dict | None) -> None:
        """Store the rows so far; the arguments are those of `Hooks.on_rows`."""
        rows = {
            "history": [row.to_dict() for row in history],
            "validations": [row.to_dict() for row in validations],
        }
        self.store.set(self.key, {**rows, "running": running, "epochs": self.epochs})

    def read(self) -> dict | None:
        """Return what was stored last; None if nothing is stored."""
        return self.store.get(self.key)

    def forget(self) -> None:
        """Delete the stored rows, once the training has become a run or was deleted."""
        self.store.delete(self.key)
