"""Validate a run.json: each value is checked before any of them is stored.

Unknown keys of the file, of its rows, findings and recipe are left out. Losses may be NaN or
infinite, because a training may diverge; other numbers must be finite.
"""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import fields

from .. import __version__
from ..model.backbones import get_backbone
from ..training.recipe import Recipe

Rule = Callable[[object], bool]

MOST_BYTES = 64 * 2**20  # maximum size of run.json
MOST_CLASSES, MOST_ROWS, MOST_FINDINGS, MOST_WATCHED = 100_000, 100_000, 100, 10_000
MOST_LETTERS = 4_000_000  # in all class names: a database document is limited to 16 MB
LARGEST_IMAGE, MOST_HIDDEN = 4096, 16
USED = ("backbone", "weights", "image_size", "resize", "hidden", "dropout")  # keys of a recipe
SHOWN = ("epochs", "optimizer", "learning_rate", "batch_size")


def read_json(path: str) -> dict:
    """Read a JSON file; return an empty dictionary if it holds something else.

    Raises:
        ValueError: if it is not valid JSON, too large, or nested too deeply
    """
    size = os.path.getsize(path)
    if size > MOST_BYTES:
        raise ValueError(
            f"{path!r} has {size / 2**20:.0f} MB, and a description of a run has at most "
            f"{MOST_BYTES / 2**20:.0f}. Export the run again"
        )
    try:
        with open(path, encoding="utf-8") as file:
            facts = json.load(file)
    except UnicodeError:
        raise ValueError(
            f"{path!r} is damaged (it is not UTF-8 text). Export the run again"
        ) from None
    except RecursionError:
        raise ValueError(
            f"{path!r} is damaged (it is nested too deep). Export the run again"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path!r} is damaged ({error}). Export the run again") from None
    return facts if isinstance(facts, dict) else {}


def check_facts(facts: dict, path: str) -> dict:
    """Check the values of an exported run.

    Args:
        facts: the values, in the right format and version
        path: the path of the file, for messages

    Returns:
        the known values, ready to be stored

    Raises:
        ValueError: if a value is missing or invalid; the message shows it
    """
    found = {}
    for name, is_good in _RULES.items():
        value = facts.get(name)
        if name not in facts or not is_good(value):
            raise ValueError(
                f"{path!r} has an invalid {name!r}: {_short(value)}. Export the run again"
            )
        found[name] = value
    if len(set(found["classes"])) < max(2, len(found["classes"])):
        raise ValueError(f"{path!r} does not name two or more classes. Export the run again")
    if sum(map(len, found["classes"])) > MOST_LETTERS:
        raise ValueError(f"{path!r} has class names that are too long. Export the run again")
    found["history"] = [_only(row, _HISTORY) for row in found["history"]]
    found["validations"] = [_only(row, _VALIDATION) for row in found["validations"]]
    found["findings"] = [_only(row, _FINDING) for row in found["findings"]]
    epochs = [row["epoch"] for row in found["history"]]
    if epochs != sorted(set(epochs)) or (epochs and found["best_epoch"] not in epochs):
        raise ValueError(
            f"{path!r} has a history of the epochs {_short(epochs)}, and {found['best_epoch']} as "
            f"the best of them. Export the run again"
        )
    found["recipe"] = _check_recipe(found, path)
    return found


def input_of(recipe: dict) -> dict:
    """Return the input of the network: side in pixels, resize, mean and std of RGB in [0, 1]."""
    backbone = get_backbone(recipe["backbone"])
    return {
        "image_size": recipe["image_size"],
        "resize": recipe.get("resize", "squash"),
        "mean": list(backbone.mean),
        "std": list(backbone.std),
    }


def _check_recipe(facts: dict, path: str) -> dict:
    """Check a recipe, and return those of its values that this version knows."""
    names = [field.name for field in fields(Recipe)]
    known = {name: value for name, value in facts["recipe"].items() if name in names}
    if missing := [name for name in (*USED[:3], *SHOWN) if known.get(name) is None]:
        raise ValueError(
            f"{path!r} is inconsistent: its recipe has no {missing[0]!r}. Export the run again"
        )
    try:
        if bad := [name for name, value in known.items() if not _is_choice(value)]:
            raise ValueError(f"{bad[0]} must not be {_short(known[bad[0]])}")
        made = Recipe(**known).to_dict()
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{path!r} has a recipe that this version of the plugin ({__version__}) does not know: "
            f"{error}. Import it with version {_short(facts['package_version'])}"
        ) from None
    is_same = all(made[name] == known[name] for name in USED if name in known)
    if not is_same or facts["backbone"] != made["backbone"] or facts["input"] != input_of(made):
        raise ValueError(
            f"{path!r} is inconsistent, or does not fit this version of the plugin "
            f"({__version__}): the network was trained with the input {_short(facts['input'])}, "
            f"not {input_of(made)!r}. Export the run again, or import it with version "
            f"{_short(facts['package_version'])}"
        )
    if made["image_size"] > LARGEST_IMAGE or len(made["hidden"]) > MOST_HIDDEN:
        raise ValueError(
            f"{path!r} has image_size={made['image_size']} and {len(made['hidden'])} hidden "
            f"layers; at most {LARGEST_IMAGE} pixels and {MOST_HIDDEN} layers can be imported"
        )
    return known


def _short(value: object) -> str:
    """Return a shortened representation of a value for a message."""
    return reprlib.repr(value)


def _only(row: dict, rules: dict[str, Rule]) -> dict:
    return {name: row[name] for name in rules if name in row}


def _whole(low: int, high: int = 10**9) -> Rule:
    return lambda x: isinstance(x, int) and not isinstance(x, bool) and low <= x <= high


def _number(low: float, high: float) -> Rule:
    def is_good(x: object) -> bool:
        if isinstance(x, int) and not isinstance(x, bool):
            return low <= x <= high and abs(x) <= 2**53  # limit of the database
        return isinstance(x, float) and low <= x <= high

    return is_good


def _loss(x: object) -> bool:
    return isinstance(x, float) or _number(-math.inf, math.inf)(x)


def _or_none(rule: Rule) -> Rule:
    return lambda x: x is None or rule(x)


def _text(most: int, least: int = 1) -> Rule:
    """Accept text that can be stored in a database and a file: no surrogates or null characters."""

    def is_good(x: object) -> bool:
        if not isinstance(x, str) or not least <= len(x) <= most or "\0" in x:
            return False
        return not any("\ud800" <= letter <= "\udfff" for letter in x)

    return is_good


def _list(rule: Rule, most: int) -> Rule:
    return lambda x: isinstance(x, list) and len(x) <= most and all(map(rule, x))


def _rows(rules: dict[str, Rule], needed: Sequence[str]) -> Rule:
    """Accept a dictionary that has the needed keys, and valid values for all known keys."""

    def is_good(x: object) -> bool:
        if not isinstance(x, dict) or not all(name in x for name in needed):
            return False
        return all(rule(x[name]) for name, rule in rules.items() if name in x)

    return is_good


def _is_choice(x: object) -> bool:
    """Return whether a value of a recipe can be stored."""
    if isinstance(x, list):
        return len(x) <= 100 and all(_whole(0, 2**31)(item) for item in x)
    is_number = _number(-(2**53), 2**53)
    return x is None or isinstance(x, bool) or is_number(x) or _text(4096, 0)(x)


_is_field = _text(200)
_NUMBERS: dict[str, Rule] = {
    **dict.fromkeys(("train_loss", "val_loss"), _or_none(_loss)),
    **dict.fromkeys(("train_accuracy", "val_accuracy"), _or_none(_number(0, 1))),
    "learning_rate": _or_none(_number(0, 1e6)),
    **dict.fromkeys(("seconds", "images_per_second"), _or_none(_number(0, 1e12))),
}
_HISTORY: dict[str, Rule] = {"epoch": _whole(0), **_NUMBERS}
_VALIDATION: dict[str, Rule] = {"iteration": _whole(0, 10**12), "epoch": _whole(0), **_NUMBERS}
_FINDING: dict[str, Rule] = {
    "name": _text(100),
    "severity": lambda x: isinstance(x, str) and x in ("error", "warning"),
    "message": _text(10_000),
}
_RULES: dict[str, Rule] = {
    "package_version": _text(100),
    "key": _text(200),
    "backbone": _text(100),
    "classes": _list(_text(1000), MOST_CLASSES),
    "recipe": lambda x: isinstance(x, dict) and len(x) <= 1000,
    "input": lambda x: isinstance(x, dict) and len(x) <= 1000,
    "history": _list(_rows(_HISTORY, ["epoch"]), MOST_ROWS),
    "validations": _list(_rows(_VALIDATION, ["iteration", "epoch"]), MOST_ROWS),
    "findings": _list(_rows(_FINDING, list(_FINDING)), MOST_FINDINGS),
    "best_epoch": _whole(0),
    "label_field": lambda x: _is_field(x) and "." not in x and x[0] not in "_$",
    "val_accuracy": _or_none(_number(0, 1)),
    "val_images": _or_none(_whole(0, 10**12)),
    "watched": _or_none(
        _list(lambda x: isinstance(x, str) and bool(re.fullmatch("[0-9a-f]{24}", x)), MOST_WATCHED)
    ),
    "sha256": lambda x: isinstance(x, str),
}
