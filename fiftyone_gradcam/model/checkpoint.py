"""Trained classifiers as files: written whole or not at all, read without running code."""

from __future__ import annotations

import os
import tempfile

import torch
from torch import nn

from .backbones import get_backbone


def save_checkpoint(path: str, state: dict[str, torch.Tensor], description: dict) -> None:
    """Write weights and a description atomically: the file appears only when it is complete.

    Args:
        path: the file to write; its folder is made if need be
        state: a state dict
        description: JSON-ready; `load_checkpoint` reads "backbone" and "classes" from it
    """
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".part")
    os.close(handle)
    try:
        torch.save({"state_dict": state, "description": description}, temporary)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_checkpoint(path: str) -> tuple[nn.Module, dict]:
    """Read a file of `save_checkpoint`.

    Returns:
        the model in eval mode on the CPU, and the description

    Raises:
        FileNotFoundError: if the file is gone
        ValueError: if it is no checkpoint of this project
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"The checkpoint {path!r} is gone. Train again with fine_tune()")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        description = content["description"]
        model = get_backbone(description["backbone"]).build(len(description["classes"]))
        model.load_state_dict(content["state_dict"])
    except Exception as error:
        raise ValueError(f"{path!r} is not a readable checkpoint: {error}") from error
    return model.eval(), description
