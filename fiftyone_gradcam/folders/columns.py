"""Detect which columns of a table contain the images, the classes and the splits."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .csv_file import Head
from .split_names import split_of

# Headers as returned by `_key`, the most specific first.
_IMAGES = (
    "path paths filepath filepaths imagepath imagepaths imgpath relativepath relpath file files "
    "filename filenames imagefile imagefilename imagefilepath imagename imagenames imgname "
    "fname image images img imgs picture photo pic imageindex imageid imageids imgid photoid "
    "idcode fileid uid id name"
)
_LABELS = (
    "classname classlabel labelname categoryname speciesname label labels class classes category "
    "categories target targets species breed groundtruth truelabel gt diagnosis dx disease "
    "findinglabels findinglabel annotation tag classid labelid categoryid speciesid targetid "
    "name id"
)
# Columns with names of splits; a "valid" column of 0 and 1 means something else.
_SPLITS = (
    "split splits subset set dataset datasplit datasubset partition phase usage fold folds valid"
)
IMAGES, LABELS, SPLIT_COLUMNS = _IMAGES.split(), _LABELS.split(), _SPLITS.split()
FLAGS = {  # columns with yes and no
    **dict.fromkeys(("istrain", "istraining", "istrainingimage"), "train"),
    **dict.fromkeys(("isval", "isvalid", "isvalidation", "isdev", "iseval"), "val"),
    **dict.fromkeys(("istest", "istesting", "isholdout"), "test"),
}
BARE_FLAGS = {  # these may also be classes in a table with a column for each class
    "train": "train", "training": "train", "val": "val", "validation": "val",
    "dev": "val", "eval": "val", "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip
YES, NO = ("1", "1.0", "true", "yes", "t", "y"), ("0", "0.0", "false", "no", "f", "n")
MOST_HEADERS = 12
REMEDY = "Name them by image_column and label_column"


@dataclass(frozen=True)
class Columns:
    """Positions of the relevant columns.

    Attributes:
        image: column of the images
        label: column of the classes; None in a table with a column of 0 and 1 for each class
        classes: the columns of such a table
        splits: columns that may contain the split
        is_sure: whether this follows from the headers; otherwise, the label is the only other
            column
    """

    image: int
    label: int | None
    classes: tuple[int, ...] = ()
    splits: tuple[int, ...] = ()
    is_sure: bool = True


@dataclass(frozen=True)
class Named:
    """Headers given by the user for the images, the classes and the split; None if not given."""

    image: str | None = None
    label: str | None = None
    split: str | None = None

    @property
    def any(self) -> bool:
        """Whether any header is given."""
        return any((self.image, self.label, self.split))


def choose_columns(head: Head, named: Named | None = None) -> Columns:
    """Detect the columns of a table by their headers, unless the user gives them.

    Raises:
        ValueError: listing the headers, if they are not recognized
    """
    named, header = named or Named(), head.header
    keys = [_key(cell) for cell in header]
    image = _named(head, "image_column", named.image)
    label = _named(head, "label_column", named.label)
    split = _named(head, "split_column", named.split)
    given = [place for place in (image, label, split) if place is not None]
    if len(set(given)) < len(given):
        raise ValueError(
            f"Two of image_column, label_column and split_column name the same column of "
            f"{head.path!r}: {header[given[0]]!r}"
        )
    free = [place for place in range(len(header)) if place not in given]
    if image is None:
        # The last candidates, "id" and "name", may just as well mean a class.
        image = _first(keys, IMAGES, free)
        if image is None:
            raise ValueError(f"{_columns_of(head)}: none of them is known to name images. {REMEDY}")
        free.remove(image)
    if label is None:
        label = _label_column(keys, free, len(header) == 2)
    classes: tuple[int, ...] = ()
    is_sure = True
    if label is None:
        classes = _class_columns(head, keys, free)
        if not classes:
            others = [place for place in free if keys[place] not in {*SPLIT_COLUMNS, *FLAGS}]
            if len(header) != 2 or len(others) != 1:
                raise ValueError(
                    f"{_columns_of(head)}: none of them is known to hold classes. {REMEDY}"
                )
            label, is_sure = others[0], False
    taken = {image, label, *classes}
    known = {*SPLIT_COLUMNS, *FLAGS, *BARE_FLAGS}
    found = tuple(place for place in free if place not in taken and keys[place] in known)
    splits = found if split is None else (split,)
    return Columns(image, label, classes, splits, is_sure)


def split_of_name(path: str) -> str | None:
    """Return the split given by the name of a file or folder, such as "Training_set.csv"."""
    stem = os.path.splitext(os.path.basename(path))[0]
    found = {split_of(word) for word in re.split(r"[\W_\d]+", stem)} - {None}
    return found.pop() if len(found) == 1 else None


def flag_of(header: str) -> str | None:
    """Return the split that a column of yes and no represents; None if there is none."""
    key = _key(header)
    return FLAGS.get(key) or BARE_FLAGS.get(key)


def listed(cells: Iterable[str]) -> str:
    """Format some texts for a message."""
    cells = list(cells)
    more = f" and {len(cells) - MOST_HEADERS} more" if len(cells) > MOST_HEADERS else ""
    return ", ".join(repr(cell[:80]) for cell in cells[:MOST_HEADERS]) + more


def _key(text: str) -> str:
    """Return a header without differences in spelling: "Image ID", "image_id" and "imageId"."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", text).casefold())


def _columns_of(head: Head) -> str:
    return f"The table {head.path!r} has the columns {listed(head.header)}"


def _named(head: Head, argument: str, name: str | None) -> int | None:
    """Return the position of a column given by its header."""
    if name is None:
        return None
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{argument} must be the header of a column, not {name!r}")
    for simple in (str.strip, _key):
        found = [i for i, cell in enumerate(head.header) if cell and simple(cell) == simple(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{_columns_of(head)}: {argument} {name!r} matches several of them")
    raise ValueError(f"{_columns_of(head)}: {argument} {name!r} is not one of them")


def _first(keys: Sequence[str], names: Sequence[str], free: Sequence[int]) -> int | None:
    places = {keys[place]: place for place in reversed(free)}
    return next((places[name] for name in names if name in places), None)


def _label_column(keys: Sequence[str], free: Sequence[int], is_pair: bool) -> int | None:
    """Return the column of classes; "id" is only accepted if it is the only other column."""
    names = LABELS if is_pair else [name for name in LABELS if name != "id"]
    return _first(keys, names, free)


def _class_columns(head: Head, keys: Sequence[str], free: Sequence[int]) -> tuple[int, ...]:
    """Return the columns of 0 and 1, one for each class; none if there are fewer than two."""

    def is_marked(place: int) -> bool:
        cells = [row[place].lower() for row in head.rows if place < len(row)]
        marks = [cell in (*YES[:3], *NO[:3], "") for cell in cells]
        others = [cell for cell, is_mark in zip(cells, marks, strict=True) if not is_mark]
        return any(cells) and 2 * sum(marks) > len(marks) and all(map(_is_share, others))

    found = [
        place
        for place in free
        if head.header[place] and keys[place] not in {*SPLIT_COLUMNS, *FLAGS} and is_marked(place)
    ]
    # "train" may be a class (a vehicle), or mark training images: then a class is also marked.
    marked = (sum(row[p].lower() in YES for p in found if p < len(row)) for row in head.rows)
    if any(count > 1 for count in marked):
        found = [place for place in found if keys[place] not in BARE_FLAGS]
    return tuple(found) if len(found) > 1 else ()


def _is_share(cell: str) -> bool:
    try:
        return 0 <= float(cell) <= 1
    except ValueError:
        return False
