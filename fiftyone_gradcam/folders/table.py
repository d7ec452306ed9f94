"""Tables of labels, and files that name the classes."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Sequence

from .split_names import SPLITS

COLUMNS = {
    "path": ("path", "filepath", "file", "filename", "file_name", "image", "image_path", "id"),
    "label": ("label", "class", "category", "target", "species", "breed", "ground_truth", "name"),
    "split": ("split", "subset", "set", "partition", "fold"),
}
# "1 = Makino", "1: Makino", "1,Makino", "1<tab>Makino", "1 Makino"
NAMED = re.compile(r"\s*(?P<key>[^=:,\t]+?)\s*(?:[=:,\t]|\s(?=\S))\s*(?P<name>.+?)\s*")


def read_table(path: str, root: str, files: Sequence[str]) -> tuple[dict, list[tuple[str, str]]]:
    """Which label and split a CSV file gives to which image.

    The first line names the columns, in any order: path (or file, filename, image, id), label (or
    class, category, species) and, if there is one, split (or subset). Paths are below the root or
    the table's own folder, or absolute; the extension may be left out.

    Args:
        path: the table; its columns are parted by commas, semicolons or tabs
        root: folder of the images
        files: absolute paths of the images below it

    Returns:
        (label or None, split or None) by absolute path; and (row, reason) of each row that names
        no image, or one that another row has named otherwise

    Raises:
        ValueError: if it is no such table; the message names its columns
        FileNotFoundError: if there is no such file
    """
    rows, found = _rows(path), {}
    columns = {what: _column(rows[0], names) for what, names in COLUMNS.items()}
    if columns["path"] is None or columns["label"] is None:
        raise ValueError(
            f"The table {path!r} needs a column for paths (such as 'path' or 'filename') and one "
            f"for labels (such as 'label' or 'class'); it has {', '.join(map(repr, rows[0]))}"
        )
    known, left_out = set(files), []
    by_stem = {os.path.splitext(file)[0]: file for file in files}
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):
            continue
        name, label, split = (_cell(row, columns[what]) for what in ("path", "label", "split"))
        file = _file_of(name, (root, os.path.dirname(path)), known, by_stem)
        if file is None:
            left_out.append((f"row {number}: {name}", "in the table, but there is no such image"))
            continue
        reading = (label or None, SPLITS.get(split.lower()))
        if found.setdefault(file, reading) != reading:
            left_out.append((f"row {number}: {name}", "in the table twice, with other labels"))
    if not found:
        raise ValueError(
            f"The table {path!r} names no image below {root!r}: its first path is "
            f"{_cell(rows[1], columns['path']) if len(rows) > 1 else 'missing'!r}"
        )
    return found, left_out


def find_table(root: str) -> str | None:
    """The one CSV file of a folder that has columns for paths and labels; None if there is none."""
    names = [name for name in sorted(os.listdir(root)) if name.lower().endswith((".csv", ".tsv"))]
    if len(names) != 1:
        return None
    path = os.path.join(root, names[0])
    try:
        header = _rows(path)[0]
    except (ValueError, OSError):
        return None
    is_table = all(_column(header, COLUMNS[what]) is not None for what in ("path", "label"))
    return path if is_table else None


def read_names(path: str) -> dict[str, str]:
    """The classes' names, by what stands for them in folders or files.

    Lines such as `1 = Makino`, `1: Makino`, `1,Makino` or `n02123045 tabby`; or a JSON object.

    Raises:
        ValueError: naming the line that is none, or a key that stands twice
        FileNotFoundError: if there is no such file
    """
    text = _text(path)
    if path.lower().endswith(".json"):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{path!r} is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise ValueError(f'{path!r} must hold an object such as {{"1": "Makino"}}')
        return {str(key): str(name) for key, name in found.items()}
    names: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = NAMED.fullmatch(line)
        if match is None:
            raise ValueError(f"Line {number} of {path!r} names no class: {line!r}. Write 1 = Name")
        if names.setdefault(match["key"], match["name"]) != match["name"]:
            raise ValueError(f"Line {number} of {path!r} names {match['key']!r} a second time")
    if not names:
        raise ValueError(f"{path!r} names no class. Write lines such as 1 = Name")
    return names


def _rows(path: str) -> list[list[str]]:
    text = _text(path)
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    rows = list(csv.reader(text.splitlines(), delimiter=delimiter))
    if not rows:
        raise ValueError(f"The table {path!r} is empty")
    return rows


def _text(path: str) -> str:
    with open(path, "rb") as file:
        content = file.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _column(header: Sequence[str], names: Sequence[str]) -> int | None:
    cells = [cell.strip().lower().replace(" ", "_") for cell in header]
    return next((cells.index(name) for name in names if name in cells), None)


def _cell(row: Sequence[str], column: int | None) -> str:
    return row[column].strip() if column is not None and column < len(row) else ""


def _file_of(
    name: str, folders: Sequence[str], known: set[str], by_stem: dict[str, str]
) -> str | None:
    """The image that a cell names."""
    for folder in folders if name else ():
        path = os.path.normpath(os.path.join(folder, name.replace("\\", os.sep)))
        if path in known:
            return path
        if path in by_stem:
            return by_stem[path]
    return None
