"""Checkpoint files: written completely or not at all, and read without executing code."""

from __future__ import annotations

import os

import torch
from torch import nn

from ..disk import whole_file
from .backbones import get_backbone
from .blank import build_unset


def save_checkpoint(path: str, state: dict[str, torch.Tensor], description: dict) -> None:
    """Write weights and a description atomically: the file appears only when it is complete.

    Args:
        path: the file; its folder is created if needed
        state: a state dict
        description: JSON-ready; `load_checkpoint` reads "backbone", "classes" and "recipe" from it
    """
    _write(path, {"state_dict": state, "description": description})


def _write(path: str, content: dict) -> None:
    with whole_file(path) as part, open(part, "wb") as file:
        torch.save(content, file)


def load_checkpoint(path: str) -> tuple[nn.Module, dict]:
    """Read a file written by `save_checkpoint`.

    Returns:
        the model in eval mode on the CPU, and the description

    Raises:
        FileNotFoundError: if the file does not exist
        ValueError: if it is not a checkpoint of this project
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"The checkpoint {path!r} does not exist. Train again with fine_tune()"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        description = content["description"]
        recipe = description.get("recipe", {})
        model = build_unset(
            get_backbone(description["backbone"]),
            len(description["classes"]),
            recipe.get("hidden", ()),
            recipe.get("dropout"),
        )
        model.load_state_dict(content["state_dict"])
    except Exception as error:
        raise ValueError(f"{path!r} is not a readable checkpoint: {error}") from error
    return model.eval(), description


def save_state(path: str, state: dict) -> None:
    """Write the state that a training needs to resume, atomically.

    Args:
        path: the file; its folder is created if needed
        state: tensors, lists, dictionaries and plain values
    """
    _write(path, state)


def load_state(path: str, key: str) -> dict:
    """Read a file written by `save_state`.

    Args:
        path: the file
        key: key of the run, for messages

    Raises:
        ValueError: if there is no such file, or it is damaged
    """
    if not os.path.isfile(path):
        raise ValueError(
            f"There is no training {key!r} to resume: its state {path!r} does not exist. Leave "
            f"resume out to start one"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state["recipe"], state["epoch"]
    except Exception as error:
        raise ValueError(
            f"The state {path!r} of training {key!r} cannot be read ({error}). Start over with "
            f"overwrite=True"
        ) from error
    return state
