"""Files that map folder or file names to class names."""

from __future__ import annotations

import json
import os
import re

from .csv_file import read_text

NAMES_FILES = ("class_names.txt", "classes.txt", "classes.json", "names.txt", "labels.txt")
# "1 = Makino", "1: Makino", "1,Makino", "1<tab>Makino", "1 Makino"
NAMED = re.compile(r"\s*(?P<key>[^=:,\t]+?)\s*(?:[=:,\t]|\s(?=\S))\s*(?P<name>.+?)\s*")


def read_names(path: str) -> dict[str, str]:
    """Read class names by the names used in folders or files.

    The file contains lines such as `1 = Makino`, `1: Makino`, `1,Makino` or `n02123045 tabby`, or a
    JSON object.

    Raises:
        ValueError: naming the invalid line, or a key that occurs twice
        FileNotFoundError: if there is no such file
    """
    text = read_text(path)
    if path.lower().endswith(".json"):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{path!r} is not valid JSON: {error}") from None
        if not isinstance(found, dict):
            raise ValueError(f'{path!r} must contain an object such as {{"1": "Makino"}}')
        return {str(key): str(name) for key, name in found.items()}
    names: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = NAMED.fullmatch(line)
        if match is None:
            raise ValueError(f"Line {number} of {path!r} is not valid: {line!r}. Write 1 = Name")
        if names.setdefault(match["key"], match["name"]) != match["name"]:
            raise ValueError(f"Line {number} of {path!r} gives {match['key']!r} a second name")
    if not names:
        raise ValueError(f"{path!r} contains no names. Write lines such as 1 = Name")
    return names


def names_of(root: str, path: str | None, labels: set[str]) -> dict[str, str]:
    """Return the class names of a folder by the names used in it.

    Args:
        root: the folder
        path: a file of names; by default (None), a file in the folder that names all labels
        labels: labels that occur in the folder
    """
    if path is not None:
        return read_names(path)
    for name in NAMES_FILES:
        try:
            names = read_names(os.path.join(root, name))
        except (OSError, ValueError):
            continue
        if labels and labels <= set(names):
            return names
    return {}
