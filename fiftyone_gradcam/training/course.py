"""How far a training is: all that it resumes with, beside the learner's weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from .history import Epoch, Validation
from .learner import Evaluation


@dataclass
class Course:
    """What a training has come to.

    Attributes:
        epoch, iteration: the last ones
        history, validations: rows of them
        best: the best weights so far, and what they said of the validation images; None if none are
        dead: share of the validation (or else training) images whose logits are all exactly 0
    """

    epoch: int = 0
    iteration: int = 0
    history: list[Epoch] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    best: dict | None = None
    dead: float = 0.0

    def is_best(self, found: Evaluation) -> bool:
        """Whether a validation is better than all before it."""
        best = self.best and self.best["score"]  # None of weights that were not validated
        return not best or (found.accuracy, -found.loss) > tuple(best)

    def keep(self, model: nn.Module, found: Evaluation | None = None) -> None:
        """Keep the weights of a model as the best so far.

        Args:
            model: whose weights they are; they are copied
            found: what a validation has found; None if they were not validated
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
        """Whether so many validations have not improved that the training is to end early.

        Args:
            patience: number of validations; 0 of no end
        """
        if not patience or not self.best:
            return False
        return len(self.validations) - self.best["validation"] >= patience

    def state(self) -> dict:
        """All of it, of tensors and plain values."""
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
        """What a state was taken of."""
        return cls(
            state["epoch"],
            state["iteration"],
            [Epoch(**row) for row in state["history"]],
            [Validation(**row) for row in state["validations"]],
            state["best"],
            state["dead"],
        )
