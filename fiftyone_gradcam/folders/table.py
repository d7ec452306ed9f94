"""Tables of labels: read the label and split of images from a CSV file."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from ..progress import counted
from .cells import Images
from .columns import (
    NO,
    YES,
    Columns,
    Named,
    choose_columns,
    flag_of,
    listed,
    split_of_name,
)
from .csv_file import Head, read_head, read_rows
from .split_names import EVALUATED, SPLITS, parse, split_of

UNMARKED = "in the table without a class, and left unlabeled"
SEVERAL = "in the table with several classes, and left unlabeled"
MOST_VALUES = 8


@dataclass
class Table:
    """Labels in a table.

    Attributes:
        path: path of the CSV file
        words: description of how its columns are used
        found: (label or None, split or None) by absolute path of the image
        left_out: (row, reason) of each row that is not used or contradicts another
        notes: remarks for the user
    """

    path: str
    words: str
    found: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the file."""
        return os.path.basename(self.path)

    @property
    def labels(self) -> list[str]:
        """Labels of the images that have one."""
        return [label for label, _ in self.found.values() if label is not None]


def read_table(path: str, images: Images, named: Named | None = None) -> Table:
    """Read which label and split a CSV file gives to which image.

    The first line contains the headers, in any order: one column for the images, one for the labels
    (or one of 0 and 1 for each class), and optionally some for the split. Common headers are
    recognized. Cells are separated by commas, semicolons, tabs or bars; the encoding is UTF-8,
    UTF-16 or Windows-1252.

    Args:
        path: the table
        images: the images that it may refer to (see `Images.find`)
        named: headers of columns that are given instead of guessed

    Raises:
        ValueError: if it is not such a table (the message lists its columns), or names no image
        OSError: if it cannot be read
    """
    head = read_head(path)
    named = named or Named()
    return read_columns(head, choose_columns(head, named), images, named)


def read_columns(head: Head, columns: Columns, images: Images, named: Named) -> Table:
    """Read a table with known columns (see `read_table`)."""
    table = Table(head.path, _words(head, columns))
    splits = _Splits(head, columns)
    folder, own_split = os.path.dirname(head.path), split_of_name(head.path)
    first, again, parted = None, [], []
    for number, row in read_rows(head):
        cell = row[columns.image] if columns.image < len(row) else ""
        first = cell if first is None else first
        name = f"row {number}: {cell[:200]}"
        if any(row[len(head.header) :]):
            table.left_out.append((name, "in the table with more cells than its header"))
            continue
        split = splits.of(row)
        meant = images.find(cell, folder, split or own_split)
        if len(meant) != 1:
            reason = "several images have this name" if meant else "there is no such image"
            table.left_out.append((name, f"in the table, but {reason}"))
            continue
        label, problem = _label(row, head, columns)
        if problem is not None:
            table.left_out.append((name, problem))
        reading = (label, split)
        earlier = table.found.setdefault(meant[0], reading)
        if earlier != reading:
            table.left_out.append((name, "in the table twice, with other labels"))
        elif earlier is not reading:
            again.append(name)
        elif split in SPLITS.values() and images.folder_split(meant[0]) not in (None, split):
            parted.append(name)
    _check(table, head, columns, images, first)
    # "eval" means validation, unless another split does.
    own_splits = {split for _, split in table.found.values()}
    meaning = {EVALUATED[0]: "test" if "val" in own_splits else "val"}
    table.found = {path: (x, meaning.get(split, split)) for path, (x, split) in table.found.items()}
    if head.encoding == "cp1252":
        table.notes.append(
            f"{table.name} is not UTF-8, and is read as Windows-1252. If names come out wrong, "
            f"save it as 'CSV UTF-8'"
        )
    if again:
        words = "1 row" if len(again) == 1 else f"{len(again)} rows"
        table.notes.append(f"Repeated in {table.name}: {words} ({again[0]})")
    if parted:
        table.notes.append(
            f"{counted(len(parted), 'image is', 'images are')} in the folder of another split "
            f"than in {table.name}, which is used ({parted[0]})"
        )
    table.notes += splits.notes(named.split)
    return table


def _check(table: Table, head: Head, columns: Columns, images: Images, first: str | None) -> None:
    """Check that a table labels some images, and has one class for most of them.

    Raises:
        ValueError: with the first path, or the numbers of rows
    """
    if not table.found:
        raise ValueError(
            f"The table {head.path!r} names no image below {images.root!r}: its first path, in "
            f"the column {head.header[columns.image]!r}, is "
            f"{'missing' if first is None else repr(first[:200])}"
        )
    several = sum(why == SEVERAL for _, why in table.left_out)
    if several > len(table.labels):
        raise ValueError(
            f"The table {head.path!r} marks several classes in {several} rows, and one class of "
            f"{len(table.labels)} images. An image has one class here. Name the column that holds "
            f"it by label_column"
        )


class _Splits:
    """The splits given by columns of a table.

    Args:
        head: the beginning of the table
        columns: its columns
    """

    def __init__(self, head: Head, columns: Columns):
        self.head = head
        self.places = columns.splits
        self.flags = {place: flag_of(head.header[place]) for place in columns.splits}
        self.unclear = 0  # rows with yes for two splits, or no for all
        self.known = dict.fromkeys(columns.splits, 0)
        self.unknown: dict[int, Counter] = {place: Counter() for place in columns.splits}

    def of(self, row: list[str]) -> str | None:
        """Return the split of a row; None if there is none."""
        splits, flags = [], {}
        for place in self.places:
            cell = row[place] if place < len(row) else ""
            flag, low = self.flags[place], cell.lower()
            if split := split_of(cell):
                splits.append(EVALUATED[0] if parse(cell).core in EVALUATED else split)
            elif flag and low in (*YES, *NO):
                flags[flag] = flags.get(flag, False) or low in YES
            elif cell:
                self.unknown[place][cell[:80]] += 1
                continue
            self.known[place] += bool(cell)
        if splits or not flags:
            return splits[0] if splits else None
        split = _by_flags(flags)
        self.unclear += split is None
        return split

    def notes(self, named: str | None) -> list[str]:
        """Return remarks about values that are not understood.

        Raises:
            ValueError: if no value is understood in a column that the user gave
        """
        notes = []
        if self.unclear:
            columns = listed(self.head.header[place] for place in self.places)
            notes.append(f"{self.unclear} rows have no split or two, by {columns}")
        for place in self.places:
            if not self.unknown[place]:
                continue
            counts = self.unknown[place].most_common()
            says = ", ".join(f"{value!r} ({count})" for value, count in counts[:MOST_VALUES])
            says += f" and {len(counts) - MOST_VALUES} more" if len(counts) > MOST_VALUES else ""
            about = (
                f"The column {self.head.header[place]!r} of {os.path.basename(self.head.path)} "
                f"contains {says}"
            )
            if self.known[place]:
                notes.append(f"{about}, which are not splits: train, val and test are")
            elif named is not None:
                raise ValueError(f"{about}: no split. It must contain train, val or test")
            else:
                notes.append(f"{about}. It is not used: train, val and test would be splits")
        return notes


def _by_flags(flags: dict[str, bool]) -> str | None:
    """Return the split from columns of yes and no; "is_test" alone separates train from test."""
    said = [split for split, is_so in flags.items() if is_so]
    if said:
        return said[0] if len(said) == 1 else None
    if "train" not in flags:
        return "train"
    return next((split for split in ("test", "val") if split not in flags), None)


def _label(row: list[str], head: Head, columns: Columns) -> tuple[str | None, str | None]:
    """Return the label of a row, and its problem."""
    if columns.label is not None:
        cell = row[columns.label] if columns.label < len(row) else ""
        if any(unicodedata.category(letter) == "Cc" for letter in cell):
            return None, "in the table with a line break or a control character in its label"
        return unicodedata.normalize("NFC", cell) or None, None
    cells = {place: row[place].lower() for place in columns.classes if place < len(row)}
    if any(cell not in (*YES, *NO, "") for cell in cells.values()):
        return None, "in the table with other values than 0 and 1, and left unlabeled"
    marked = [place for place, cell in cells.items() if cell in YES]
    if len(marked) != 1:
        return None, SEVERAL if marked else UNMARKED
    return unicodedata.normalize("NFC", head.header[marked[0]]), None


def _words(head: Head, columns: Columns) -> str:
    """Describe how the columns are used."""
    words = f"images from {head.header[columns.image]!r}, classes from "
    if columns.label is None:
        words += f"the columns {listed(head.header[place] for place in columns.classes)}"
    else:
        words += repr(head.header[columns.label])
    if columns.splits:
        words += f", splits from {listed(head.header[place] for place in columns.splits)}"
    return words
