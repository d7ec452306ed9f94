"""Progress of a training: the state that it resumes from, besides the learner's weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from .history import Epoch, Trained, Validation
from .learner import Evaluation, Learner


@dataclass
class Course:
    """Progress of a training.

    Attributes:
        epoch, iteration: the current epoch, and the number of steps done
        history, validations: a row for each epoch and each validation
        best: the best weights so far with their predictions for the validation images; None if
            there are none yet
        dead: share of the validation (or else training) images whose logits are all exactly 0
    """

    epoch: int = 0
    iteration: int = 0
    history: list[Epoch] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    best: dict | None = None
    dead: float = 0.0

    def is_best(self, found: Evaluation) -> bool:
        """Return whether a validation is better than all previous ones."""
        best = self.best and self.best["score"]  # None if the weights were not validated
        return not best or (found.accuracy, -found.loss) > tuple(best)

    def keep(self, model: nn.Module, found: Evaluation | None = None) -> None:
        """Keep the weights of a model as the best so far.

        Args:
            model: the model; its weights are copied
            found: result of the validation; None if the weights were not validated
        """
        none = np.empty(0, np.int64)
        self.best = {
            "score": [found.accuracy, -found.loss] if found else None,
            "epoch": self.epoch,
            "validation": len(self.validations),
            "positions": torch.from_numpy(found.positions if found else none),
            "predicted": torch.from_numpy(found.predicted if found else none),
            "weights": copy.deepcopy(model.state_dict()),
        }

    def is_stale(self, patience: int) -> bool:
        """Return whether training should stop early.

        Args:
            patience: number of validations without improvement; 0 disables early stopping
        """
        if not patience or not self.best:
            return False
        return len(self.validations) - self.best["validation"] >= patience

    def state(self) -> dict:
        """Return everything as tensors and plain values."""
        return {
            "epoch": self.epoch,
            "iteration": self.iteration,
            "history": [row.to_dict() for row in self.history],
            "validations": [row.to_dict() for row in self.validations],
            "best": self.best,
            "dead": self.dead,
        }

    @classmethod
    def restored(cls, state: dict) -> Course:
        """Return the progress stored in a state."""
        return cls(
            state["epoch"],
            state["iteration"],
            [Epoch(**row) for row in state["history"]],
            [Validation(**row) for row in state["validations"]],
            state["best"],
            state["dead"],
        )


def finished(
    course: Course, learner: Learner, features: tuple | None, diverged: bool, cancelled: bool
) -> Trained:
    """Return the result of a training that has ended, with its best weights in the model.

    Args:
        course: the progress of the training; it has best weights
        learner: the learner with the model
        features: the features of the training and validation images; None if they were not computed
        diverged, cancelled: see `Trained`
    """
    change, model, best = learner.head_change(), learner.model, course.best
    model.load_state_dict(best["weights"])
    return Trained(
        model=model.eval().requires_grad_(True),
        history=course.history,
        validations=course.validations,
        best_epoch=best["epoch"],
        val_accuracy=best["score"] and best["score"][0],
        val_positions=best["positions"].numpy(),
        val_predicted=best["predicted"].numpy(),
        dead=course.dead,
        head_change=change,
        diverged=diverged,
        cancelled=cancelled,
        features=features,
    )
