"""Select the tables of a folder that give the classes, and merge them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..progress import counted
from .cells import Images
from .columns import Named, split_of_name
from .found_tables import FoundTables, find_tables, why_not
from .table import Table, read_columns, read_table

UNSURE = ", and none of its columns is known to hold any"
MOST_BYTES = 50_000_000  # maximum size of a table that is read if folders may be the classes
MOST_PARTED = 0.05  # maximum share of images that two tables may label differently
LEAST_NAMED = 0.25  # minimum share of images in a table that overrides names of files
CROSSING = 0.2  # maximum share of images that are not in the main folder of their label


@dataclass
class Labelling:
    """Labels given by tables.

    Attributes:
        found: (label or None, split or None) by absolute path of the image
        tables: how the columns are used, by path of the table
        left_out: (row, reason) of rows that are not used
        notes: remarks for the user
        unused: why tables are not used, by path
        absent: the one of the notes that is about images without a row
        only_fills: whether only images outside of class folders are labeled by tables
    """

    found: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)
    only_fills: bool = False
    absent: str = ""


def labels_of_folder(
    images: Images,
    guesses: dict[str, str | None],
    are_folders: bool,
    given: Sequence[str] = (),
    named: Named | None = None,
    must: bool = False,
) -> Labelling:
    """Return the labels given by the tables of a folder, if they should be used.

    Args:
        images: images of the folder
        guesses: the class of each image without a table, by its path
        are_folders: whether these are names of folders; otherwise they are prefixes of file names
        given: paths of tables; by default, the tables in the folder
        named: headers of columns that are given instead of guessed
        must: whether the labels are known to be in a table; otherwise, unusable tables are not an
            error

    Raises:
        ValueError: if a given table cannot be used, if none of the tables in the folder can be used
            although one is required, or if two tables label the same images differently
    """
    named = named or Named()
    if given:
        return _merged([read_table(path, images, named) for path in given], images)
    csv_files = find_tables(images.root, named)
    may_be_folders = are_folders and len(set(guesses.values()) - {None}) > 1
    if must or not may_be_folders:
        found = _usable(images, csv_files, named, must)
        _check_found(found, images, guesses, must)
        return found
    # The folders may be the classes: then no table stops the import, and large tables are not read.
    sheets = [x for x in csv_files.sheets if x[1].is_sure and _is_small(x[0].path)]
    own = {
        head.path: f"the folders are the classes{'' if columns.is_sure else UNSURE}"
        for head, columns in csv_files.sheets
    }
    try:
        found = _usable(images, FoundTables(sheets, own | csv_files.unused), named, must)
    except ValueError:  # the tables contradict each other
        return Labelling(unused=own | csv_files.unused, notes=_offers(own))
    labelled = {path: label for path, (label, _) in found.found.items() if label is not None}
    if know_better(labelled, guesses):
        found.notes.append(
            "The folders are not classes: each contains images of several classes of the table"
        )
        return found
    if count := _count_filled(labelled, guesses):
        found.notes = [note for note in found.notes if note != found.absent]
        about = f"{counted(count, 'image')} in no class folder: the class comes from a table"
        return replace(found, notes=[*found.notes, about], only_fills=True)
    unread = {x[0].path for x in csv_files.sheets if x[1].is_sure} - {x[0].path for x in sheets}
    return Labelling(unused=own | found.unused, notes=_offers([*found.tables, *sorted(unread)]))


def _check_found(
    found: Labelling, images: Images, guesses: dict[str, str | None], must: bool
) -> None:
    """Discard tables with few images if the names of files give the classes.

    Raises:
        ValueError: if there are no tables although one is required
    """
    if must and not found.tables:
        reasons = found.unused.items()
        more = "; ".join(f"{os.path.relpath(path, images.root)}: {why}" for path, why in reasons)
        raise ValueError(
            f"There is no table of labels in {images.root!r}{f' ({more})' if more else ''}. Give "
            f"its path as table"
        )
    count, total = len(found.found), len(guesses)
    if not must and len(set(guesses.values()) - {None}) > 1 and count < LEAST_NAMED * total:
        why = f"it names only {count} of {total} images, and file names give the classes"
        found.unused |= dict.fromkeys(found.tables, why)
        found.found, found.tables, found.left_out, found.notes = {}, {}, [], []


def _usable(images: Images, csv_files: FoundTables, named: Named, must: bool) -> Labelling:
    """Merge the tables in the folder that name images."""
    tables, unused = [], dict(csv_files.unused)
    sure = [sheet for sheet in csv_files.sheets if sheet[1].is_sure]
    for head, columns in sure or csv_files.sheets:
        try:
            table = read_columns(head, columns, images, named)
            if not columns.is_sure and not must:
                _check_repeated(table)
        except (ValueError, OSError) as error:
            unused[head.path] = why_not(error, head.path)
        else:
            tables.append(table)
            unused.pop(head.path, None)
    if sure:
        for head, columns in csv_files.sheets:
            if not columns.is_sure:
                unused.setdefault(head.path, "the columns of another table are clearer")
    found = _merged(tables, images) if tables else Labelling()
    found.unused = unused
    return found


def _count_filled(labelled: dict[str, str], folders: dict[str, str | None]) -> int:
    """Return how many images outside of class folders get a folder's class from a table."""
    filled = [label for path, label in labelled.items() if folders.get(path) is None]
    return len(filled) if set(filled) <= set(folders.values()) else 0


def _offers(paths: Iterable[str]) -> list[str]:
    """Return remarks about tables that could be used instead of folders."""
    return [
        f"The table {os.path.basename(path)} is not used. To use its classes, choose that the "
        f"classes come from a table"
        for path in paths
    ]


def know_better(labelled: dict[str, str], folders: dict[str, str | None]) -> bool:
    """Return whether folders are not classes, because images of one label are in several folders.

    Args:
        labelled: label by path, from a table
        folders: class by path, from the folders
    """
    inside = [(x, folders[path]) for path, x in labelled.items() if folders[path] is not None]
    homes: Counter = Counter()
    for (label, _), count in Counter(inside).items():
        homes[label] = max(homes[label], count)
    is_most = 2 * len(inside) >= sum(folder is not None for folder in folders.values())
    return is_most and len(inside) - sum(homes.values()) > CROSSING * len(inside)


def _is_small(path: str) -> bool:
    try:
        return os.path.getsize(path) <= MOST_BYTES
    except OSError:
        return False


def _check_repeated(table: Table) -> None:
    """Check that the second column of a table looks like classes.

    Raises:
        ValueError: if most labels occur only once
    """
    if len(set(table.labels)) > max(1, len(table.labels) // 2):
        raise ValueError(
            "its second column does not look like classes: most of its values occur only once. If "
            "they are classes, name it by label_column"
        )


def _merged(tables: list[Table], images: Images) -> Labelling:
    """Merge tables.

    Raises:
        ValueError: if two tables label the same images differently
    """
    found, root = Labelling(), images.root
    # Next to test.csv, train.csv means a split; alone, it may contain everything.
    splits = {table.path: split_of_name(table.path) for table in tables}
    if len(set(splits.values())) < len(tables) or len(tables) < 2:
        splits = {}
    sources: dict[str, str] = {}
    shared: Counter = Counter()
    parted: Counter = Counter()
    for table in tables:
        name = os.path.relpath(table.path, root) if len(tables) > 1 else ""
        found.tables[table.path] = table.words
        found.left_out += [(f"{name} {row}".strip(), why) for row, why in table.left_out]
        found.notes += table.notes
        for path, (label, said) in table.found.items():
            split = said or splits.get(table.path)
            earlier = found.found.get(path)
            if earlier is None:
                found.found[path] = label, split
                sources[path] = name
                continue
            pair = sources[path], name
            shared[pair] += 1
            if label is not None and earlier[0] not in (None, label):
                parted[pair] += 1
                row = f"{name}: {os.path.relpath(path, root)}"
                found.left_out.append((row, "in two tables, with different labels"))
            found.found[path] = earlier[0] or label, earlier[1] or split
    if absent := [file for file in images.files if file not in found.found]:
        example = os.path.relpath(absent[0], root)
        images_have = counted(len(absent), "image has", "images have")
        found.absent = f"{images_have} no row in a table, such as {example}"
        found.notes.append(found.absent)
    for (one, other), count in parted.items():
        if count > MOST_PARTED * shared[one, other]:
            raise ValueError(
                f"The tables {one!r} and {other!r} label {count} of {shared[one, other]} images "
                f"differently. Give the path of the one to use as table"
            )
    return found
