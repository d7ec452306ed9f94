"""Checks and settings for resuming an interrupted training."""

from __future__ import annotations

import json
import os
from dataclasses import replace

from ..progress import counted, some
from ..training.recipe import Recipe
from ..training.recipes import make_recipe


def check_not_interrupted(state_path: str, key: str, may_replace: bool) -> None:
    """Raise an error if a new training would overwrite an interrupted one with the same key."""
    if os.path.exists(state_path) and not may_replace:
        raise ValueError(
            f"A training {key!r} of this dataset was interrupted. Pass resume=True to resume "
            f"it, or overwrite=True to start over"
        )


def is_recorded(history: list[dict], state: dict) -> bool:
    """Return whether the recorded run contains everything that the training in a state has done.

    It does not if the process was killed before it recorded the run, or during a training that
    replaces a recorded run.
    """
    rows = [json.dumps(row, sort_keys=True) for row in history]
    own = [json.dumps(row, sort_keys=True) for row in state["history"]]
    return own == rows[: len(own)]


def resumed_recipe(
    state: dict, recipe: str | Recipe | None, choices: dict, is_recorded: bool
) -> Recipe:
    """Return the recipe of the interrupted training, with more epochs if requested."""
    began = Recipe(**state["recipe"])
    given = make_recipe(recipe or began, **choices)
    if given.epochs is None:
        given = replace(given, epochs=began.epochs)
    given = given.with_resize(began.resize)
    for name, value in given.to_dict().items():
        if name not in ("epochs", "early_stopping") and value != state["recipe"][name]:
            raise ValueError(
                f"This training started with {name}={state['recipe'][name]!r}, and cannot resume "
                f"with {value!r}. Leave it out, or start over with overwrite=True"
            )
    if given.epochs <= state["epoch"] and is_recorded:
        raise ValueError(
            f"This training has completed its {counted(state['epoch'], 'epoch')}. To train "
            f"longer, resume it with a larger number of epochs"
        )
    return given


def check_same_data(state: dict, classes: list[str], digest: str) -> None:
    """Raise an error if the classes differ; print a message if images or labels have changed."""
    if classes != state["classes"]:
        raise ValueError(
            f"This training started with the classes {some(state['classes'])}; now there are "
            f"{some(classes)}. Start over with overwrite=True"
        )
    if digest != state["digest"]:
        print("The images or labels have changed since this training started: it uses the new ones")
