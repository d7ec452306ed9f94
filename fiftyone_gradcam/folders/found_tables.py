"""CSV files in a folder, judged by their first lines."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from .columns import Columns, Named, choose_columns
from .csv_file import Head, read_head
from .split_names import split_of

FOLDERS = ("labels", "annotations", "annotation", "csv", "data", "meta", "metadata", "tables")
TEMPLATE = re.compile(r"submission|submit", re.IGNORECASE)  # competition files without labels
MOST_TABLES = 200  # maximum number of tables that are read


@dataclass
class FoundTables:
    """CSV files in a folder, judged by their first lines.

    Attributes:
        sheets: tables whose columns are known
        unused: reasons why the others are not used, by path
        headers: columns of all tables that have a header
    """

    sheets: list[tuple[Head, Columns]] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)
    headers: list[str] = field(default_factory=list)


def find_tables(root: str, named: Named | None = None) -> FoundTables:
    """Read the beginning of the CSV files in a folder, and in folders of splits or labels below it.

    Unusable files do not raise an error.

    Args:
        root: absolute path of the folder
        named: headers of columns that are given instead of guessed
    """
    tables, paths = FoundTables(), _csv_files(root)
    for path in paths[:MOST_TABLES]:
        try:
            head = read_head(path)
            tables.headers += [x for x in head.header if x and x not in tables.headers]
            columns = choose_columns(head, named)
        except (ValueError, OSError) as error:
            tables.unused[path] = why_not(error, path)
            continue
        if TEMPLATE.search(os.path.basename(path)):
            tables.unused[path] = "it looks like a template for submissions"
        else:
            tables.sheets.append((head, columns))
    for path in paths[MOST_TABLES:]:
        tables.unused[path] = f"only {MOST_TABLES} tables are read"
    return tables


def headers_of(root: str, table: str = "") -> list[str]:
    """Return the headers of a table, or of the tables in a folder, without empty ones.

    Args:
        root: absolute path of the folder
        table: path of the table, absolute or relative to the folder

    Raises:
        ValueError: if it has no header
        OSError: if it cannot be read
    """
    if not table:
        return find_tables(root).headers
    table = os.path.expanduser(table)
    path = table if os.path.isfile(table) else os.path.join(root, table)
    return [header for header in dict.fromkeys(read_head(path).header) if header]


def why_not(error: Exception, path: str) -> str:
    """Return why a table is not used, without its path."""
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    text = text.removeprefix(f"The table {path!r} ").removeprefix(f"{path!r} ")
    return f"it {text}" if text.startswith(("has ", "is ", "names ", "cannot ", "marks ")) else text


def _csv_files(root: str) -> list[str]:
    """Return CSV files in the folder, in its split or label folders, or in its only subfolder."""
    found, below = [], []
    for name in sorted(os.listdir(root)):
        path = os.path.join(root, name)
        if name.startswith("."):
            continue
        if os.path.isdir(path):
            below.append(path)
        elif name.lower().endswith((".csv", ".tsv")) and os.path.isfile(path):
            found.append(path)
    for folder in below:
        name = os.path.basename(folder)
        if not (split_of(name) or name.lower() in FOLDERS or len(below) == 1):
            continue
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        paths = [os.path.join(folder, x) for x in names if x.lower().endswith((".csv", ".tsv"))]
        found += [path for path in paths if os.path.isfile(path)]
    return found
