"""A run as a folder of its own: weights that plain torch reads, and all else as JSON."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .. import __version__
from ..model.backbones import get_backbone
from ..model.checkpoint import load_checkpoint, save_checkpoint
from ..model.recipe import Recipe
from .runs import CHECKPOINT, Run

FORMAT, VERSION = "fiftyone-gradcam run", 1
WEIGHTS, FACTS = "weights.pt", "run.json"
CURVES, WATCH_MAPS, WATCH_STRIP = "curves.png", "watch.npz", "watch.png"
_KINDS = {
    "package_version": str,
    "key": str,
    "backbone": str,
    "classes": list,
    "recipe": dict,
    "input": dict,
    "history": list,
    "validations": list,
    "findings": list,
    "best_epoch": int,
    "label_field": str,
    "val_accuracy": float | int | None,
    "val_images": int | None,
    "watched": list | None,
    "sha256": str,
}
_USED = ("backbone", "weights", "image_size", "resize", "hidden", "dropout")  # of a recipe


def write_export(run: Run, folder: str) -> None:
    """Write a run into a folder that exists and is empty.

    Args:
        run: a trained run
        folder: gets weights.pt (a state dict), run.json, and curves.png, watch.npz and watch.png
            where the run has them

    Raises:
        FileNotFoundError, ValueError: if the checkpoint is gone or damaged
    """
    weights = os.path.join(folder, WEIGHTS)
    torch.save(run.load_model().state_dict(), weights)
    extras = {CURVES: run.curves}
    if run.watch:
        extras |= {WATCH_MAPS: run.watch["maps"], WATCH_STRIP: run.watch["strip"]}
    for name, path in extras.items():
        if path and os.path.isfile(path):
            shutil.copyfile(path, os.path.join(folder, name))
    facts = {
        "format": FORMAT,
        "format_version": VERSION,
        "package_version": __version__,
        "key": run.key,
        "backbone": run.recipe["backbone"],
        "classes": run.classes,
        "input": _input(run.recipe),
        "layer": run.layer,
        "label_field": run.label_field,
        "best_epoch": run.best_epoch,
        "val_accuracy": run.val_accuracy,
        "val_images": run.val_images,
        "recipe": run.recipe,
        "history": run.history,
        "validations": run.validations,
        "findings": run.findings,
        "watched": run.watch["ids"] if run.watch else None,
        "sha256": _sha256(weights),
    }
    with open(os.path.join(folder, FACTS), "w", encoding="utf-8") as file:
        json.dump(facts, file, indent=2, ensure_ascii=False)


def read_export(folder: str) -> dict:
    """What the run.json of an exported run says, checked, its weights too (but not loaded).

    Raises:
        FileNotFoundError: if the folder, or one of its two files, does not exist
        ValueError: if it is no exported run, or of another format version, or damaged
    """
    paths = {name: os.path.join(folder, name) for name in (FACTS, WEIGHTS)}
    for name, path in paths.items():
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f"{folder!r} is no exported run: it has no {name}. Pass a folder that "
                f"export_run() wrote"
            )
    facts = _read_json(paths[FACTS])
    if facts.get("format") != FORMAT:
        raise ValueError(
            f"{paths[FACTS]!r} is not of an exported run: its format is {facts.get('format')!r}. "
            f"Pass a folder that export_run() wrote"
        )
    if facts.get("format_version") != VERSION:
        raise ValueError(
            f"{paths[FACTS]!r} has format version {facts.get('format_version')!r}, and this "
            f"version of the plugin ({__version__}) reads {VERSION}. Export the run with this "
            f"version, or import it with version {facts.get('package_version')!r}"
        )
    _check(facts, paths[FACTS])
    found = _sha256(paths[WEIGHTS])
    if found != facts["sha256"]:
        raise ValueError(
            f"{paths[WEIGHTS]!r} is not the file that was exported: its sha256 is {found}, not "
            f"{facts['sha256']}. Copy the folder again, or export the run again"
        )
    return facts


def unpack(folder: str, facts: dict, target: str) -> None:
    """Turn an exported run into the files of a run.

    Args:
        folder: the exported run
        facts: as `read_export` gave them
        target: a folder that is made; removing it after a failure is up to the caller

    Raises:
        ValueError: if the weights are not those of the run's network
    """
    weights, checkpoint = os.path.join(folder, WEIGHTS), os.path.join(target, CHECKPOINT)
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        description = {name: facts[name] for name in ("backbone", "classes", "recipe")}
        save_checkpoint(checkpoint, state, description)
        load_checkpoint(checkpoint)
    except OSError:  # a disk that is full says nothing about the weights
        raise
    except Exception as error:
        raise ValueError(
            f"The weights in {weights!r} do not fit {facts['backbone']!r} with "
            f"{len(facts['classes'])} classes: {error.__cause__ or error}. Export the run again"
        ) from error
    for name in (CURVES, WATCH_MAPS, WATCH_STRIP):
        if os.path.isfile(os.path.join(folder, name)):
            shutil.copyfile(os.path.join(folder, name), os.path.join(target, name))


def check_replaceable(folder: str) -> None:
    """Refuse a folder that is not an exported run and nothing else.

    Raises:
        FileExistsError: naming what is in the way
    """
    known = {WEIGHTS, FACTS, CURVES, WATCH_MAPS, WATCH_STRIP}
    facts = os.path.join(folder, FACTS)
    is_export = os.path.isfile(facts) and _read_json(facts).get("format") == FORMAT
    for name in sorted(os.listdir(folder)):
        if name not in known or not is_export:
            raise FileExistsError(
                f"The folder {folder!r} holds {name!r}, which is no part of an exported run. Pass "
                f"another folder"
            )


@contextmanager
def in_place(part: str, target: str) -> Iterator[None]:
    """Move a complete folder to where it belongs; if the body then fails, all is as before.

    Args:
        part: the folder to move
        target: where to; what is there is replaced
    """
    aside = f"{part}.{uuid.uuid4().hex[:8]}.old" if os.path.isdir(target) else None
    if aside:
        os.rename(target, aside)
    try:
        os.rename(part, target)
        yield
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        if aside:
            os.rename(aside, target)
        raise
    if aside:
        shutil.rmtree(aside, ignore_errors=True)


def _input(recipe: dict) -> dict:
    """What the network is shown: side in pixels, way of resizing, mean and std of RGB in [0, 1]."""
    backbone = get_backbone(recipe["backbone"])
    return {
        "image_size": recipe["image_size"],
        "resize": recipe.get("resize", "squash"),
        "mean": list(backbone.mean),
        "std": list(backbone.std),
    }


def _read_json(path: str) -> dict:
    try:
        with open(path, encoding="utf-8") as file:
            facts = json.load(file)
    except ValueError as error:
        raise ValueError(f"{path!r} is damaged ({error}). Export the run again") from error
    return facts if isinstance(facts, dict) else {}


def _check(facts: dict, path: str) -> None:
    """Refuse facts that a run cannot be made of."""
    for name, kind in _KINDS.items():
        if name not in facts or not isinstance(facts[name], kind):
            raise ValueError(
                f"{path!r} has no good {name!r}: {facts.get(name)!r}. Export the run again"
            )
    classes, history = facts["classes"], facts["history"]
    if len(classes) < 2 or len({c for c in classes if isinstance(c, str)}) < len(classes):
        raise ValueError(f"{path!r} does not name two or more classes. Export the run again")
    if not all(isinstance(row, dict) and isinstance(row.get("epoch"), int) for row in history):
        raise ValueError(f"{path!r} has a history without epochs. Export the run again")
    # Other choices tell how it was trained, and may be those of another version.
    used = {name: value for name, value in facts["recipe"].items() if name in _USED}
    try:
        recipe = Recipe(**used)
    except ValueError as error:
        raise ValueError(
            f"{path!r} has a recipe that this version of the plugin ({__version__}) does not know: "
            f"{error}. Import it with version {facts['package_version']!r}"
        ) from error
    made = recipe.to_dict()
    complete = set(_USED[:3]) <= set(used) and all(made[name] == used[name] for name in used)
    if not complete or facts["backbone"] != recipe.backbone or facts["input"] != _input(made):
        raise ValueError(
            f"{path!r} contradicts itself, or this version of the plugin ({__version__}): the "
            f"network was shown images by {facts['input']!r}, and is to be shown them by "
            f"{_input(made)!r}. Export the run again, or import it with version "
            f"{facts['package_version']!r}"
        )


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
