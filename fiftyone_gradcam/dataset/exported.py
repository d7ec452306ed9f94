"""Export and import runs as a folder: the weights as a state dict, everything else as JSON."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import re
import reprlib
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .. import __version__
from ..disk import whole_file
from ..model.checkpoint import load_checkpoint, save_checkpoint
from .run import Run
from .run_facts import check_facts, input_of, read_json
from .run_files import CHECKPOINT

FORMAT, VERSION = "fiftyone-gradcam run", 1
WEIGHTS, FACTS = "weights.pt", "run.json"
MOST_LETTERS = 500  # maximum length of a reason in a message
CURVES, WATCH_MAPS, WATCH_STRIP = "curves.png", "watch.npz", "watch.png"


def write_export(run: Run, folder: str) -> None:
    """Write a run to an existing, empty folder.

    Args:
        run: a trained run
        folder: the folder, to which are written weights.pt (a state dict), run.json, and
            curves.png, watch.npz and watch.png if the run has them

    Raises:
        FileNotFoundError, ValueError: if the checkpoint file does not exist or is damaged
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
        "input": input_of(run.recipe),
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
    """Read and check the run.json of an exported run, and check the digest of its weights.

    Raises:
        FileNotFoundError: if the folder, or one of its two files, does not exist
        ValueError: if it is not an exported run, has another format version, or is damaged
    """
    paths = {name: os.path.join(folder, name) for name in (FACTS, WEIGHTS)}
    for name, path in paths.items():
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f"{folder!r} is not an exported run: it has no {name}. Pass a folder that "
                f"export_run() wrote"
            )
    facts = read_json(paths[FACTS])
    if facts.get("format") != FORMAT:
        raise ValueError(
            f"{paths[FACTS]!r} does not belong to an exported run: its format is "
            f"{reprlib.repr(facts.get('format'))}. "
            f"Pass a folder that export_run() wrote"
        )
    version = facts.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version != VERSION:
        raise ValueError(
            f"{paths[FACTS]!r} has format version {reprlib.repr(version)}, and this "
            f"version of the plugin ({__version__}) reads {VERSION}. Export the run with this "
            f"version, or import it with version {reprlib.repr(facts.get('package_version'))}"
        )
    facts = check_facts(facts, paths[FACTS])
    found = _sha256(paths[WEIGHTS])
    if found != facts["sha256"]:
        raise ValueError(
            f"{paths[WEIGHTS]!r} is not the file that was exported: its sha256 is {found}, not "
            f"{facts['sha256'][:80]}. Copy the folder again, or export the run again"
        )
    return facts


def unpack(folder: str, facts: dict, target: str) -> None:
    """Convert an exported run into the files of a run.

    Args:
        folder: the folder of the exported run
        facts: the result of `read_export`
        target: the folder to write to, which is created; the caller removes it after a failure

    Raises:
        ValueError: if the weights do not fit the run's network
    """
    weights, checkpoint = os.path.join(folder, WEIGHTS), os.path.join(target, CHECKPOINT)
    try:
        state = _read_weights(weights)
        _check_weights(state, facts)
        description = {name: facts[name] for name in ("backbone", "classes", "recipe")}
        save_checkpoint(checkpoint, state, description)
        load_checkpoint(checkpoint)
    except OSError:  # such as a full disk: not an error of the weights
        raise
    except Exception as error:
        why = f"{error.__cause__ or error}"
        if len(why) > MOST_LETTERS:  # torch lists all tensors
            why = f"{why[:MOST_LETTERS]}…"
        raise ValueError(
            f"The weights in {weights!r} do not fit {facts['backbone']!r} with "
            f"{len(facts['classes'])} classes: {why}. Export the run again"
        ) from error
    for name in (CURVES, WATCH_MAPS, WATCH_STRIP):
        if os.path.isfile(os.path.join(folder, name)):
            with whole_file(os.path.join(target, name)) as part:
                shutil.copyfile(os.path.join(folder, name), part)


def check_replaceable(folder: str) -> None:
    """Check that a folder holds an exported run and nothing else.

    Raises:
        FileExistsError: if it holds another file; the message names it
    """
    known = {WEIGHTS, FACTS, CURVES, WATCH_MAPS, WATCH_STRIP}
    facts = os.path.join(folder, FACTS)
    is_export = os.path.isfile(facts) and read_json(facts).get("format") == FORMAT
    for name in sorted(os.listdir(folder)):
        if name not in known or not is_export:
            raise FileExistsError(
                f"The folder {folder!r} holds {name!r}, which is not part of an exported run. Pass "
                f"another folder"
            )


def clear_up(folder: str) -> None:
    """Delete what killed exports to a folder have left next to it.

    A folder that was moved away to be replaced, and never was, is moved back. No other process may
    be exporting to the folder.
    """
    parent, name = os.path.split(folder)
    own = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}\.part(\.[0-9a-f]{{8}}\.old)?")
    for found in sorted(os.listdir(parent)) if os.path.isdir(parent) else ():
        path = os.path.join(parent, found)
        if not own.fullmatch(found):
            continue
        if found.endswith(".old") and not os.path.exists(folder):
            os.rename(path, folder)
        else:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def in_place(part: str, target: str) -> Iterator[None]:
    """Move a complete folder to its final path; if the body raises, undo this.

    Args:
        part: the folder to move
        target: the final path; an existing folder is replaced
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


def _read_weights(path: str) -> object:
    """Load a file of weights; replace torch's very long errors by a short one."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # torch itself raises EINVAL
            raise
        raise ValueError("the file is damaged, or holds other objects than tensors") from None


def _check_weights(state: dict, facts: dict) -> None:
    """Check that weights are finite, and enough for the network, before a large network is built.

    Raises:
        ValueError: if they are not
    """
    if not isinstance(state, dict) or not all(isinstance(x, torch.Tensor) for x in state.values()):
        raise ValueError("it is not a dictionary of tensors")
    widths = [*facts["recipe"].get("hidden", ()), len(facts["classes"])]
    least = sum(a * b for a, b in itertools.pairwise(widths)) + widths[0]
    if least > sum(weights.numel() for weights in state.values()):
        raise ValueError(f"it has too few weights for layers of widths {widths}")
    for name, weights in state.items():
        if not torch.isfinite(weights).all():
            raise ValueError(f"{name!r} holds values that are not finite numbers")


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
