"""Which column of a table names the images, which the classes, and which the splits."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .csv_file import Head
from .split_names import split_of

# Headers as `_key` makes them, those that say most first.
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
# Whose words are those of a split: a "valid" of 0 and 1 says something else.
_SPLITS = (
    "split splits subset set dataset datasplit datasubset partition phase usage fold folds valid"
)
IMAGES, LABELS, SPLIT_COLUMNS = _IMAGES.split(), _LABELS.split(), _SPLITS.split()
FLAGS = {  # columns of yes and no
    **dict.fromkeys(("istrain", "istraining", "istrainingimage"), "train"),
    **dict.fromkeys(("isval", "isvalid", "isvalidation", "isdev", "iseval"), "val"),
    **dict.fromkeys(("istest", "istesting", "isholdout"), "test"),
}
BARE_FLAGS = {  # which may be classes too, in a table with a column for each class
    "train": "train", "training": "train", "val": "val", "validation": "val",
    "dev": "val", "eval": "val", "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip
YES, NO = ("1", "1.0", "true", "yes", "t", "y"), ("0", "0.0", "false", "no", "f", "n")
MOST_HEADERS = 12
REMEDY = "Name them by image_column and label_column"


@dataclass(frozen=True)
class Columns:
    """Places of the columns that matter.

    Attributes:
        image: of what names the images
        label: of the classes; None in a table with a column of 0 and 1 for each class
        classes: of these columns
        splits: of those that may tell the split
        is_sure: whether the headers say so; otherwise it is the one column beside the images
    """

    image: int
    label: int | None
    classes: tuple[int, ...] = ()
    splits: tuple[int, ...] = ()
    is_sure: bool = True


@dataclass(frozen=True)
class Named:
    """Headers that were named: of the images, the classes and the split; None of what was not."""

    image: str | None = None
    label: str | None = None
    split: str | None = None

    @property
    def any(self) -> bool:
        """Whether one was."""
        return any((self.image, self.label, self.split))


def choose_columns(head: Head, named: Named | None = None) -> Columns:
    """Tell the columns of a table apart by its headers, as far as they are not named.

    Raises:
        ValueError: listing the headers, if they do not tell
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
        # The last resorts name a class as often: "id" or "name" beside nothing better.
        image = _first(keys, IMAGES, free)
        if image is None:
            raise ValueError(f"{_told(head)}: none of them is known to name images. {REMEDY}")
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
                raise ValueError(f"{_told(head)}: none of them is known to hold classes. {REMEDY}")
            label, is_sure = others[0], False
    taken = {image, label, *classes}
    known = {*SPLIT_COLUMNS, *FLAGS, *BARE_FLAGS}
    found = tuple(place for place in free if place not in taken and keys[place] in known)
    splits = found if split is None else (split,)
    return Columns(image, label, classes, splits, is_sure)


def split_of_name(path: str) -> str | None:
    """The split that the name of a file or folder says, as "Training_set.csv" does."""
    stem = os.path.splitext(os.path.basename(path))[0]
    words = [word for word in re.split(r"[\W_\d]+", stem) if word]
    found = {split_of(word) for word in words} - {None}
    return found.pop() if len(found) == 1 else None


def flag_of(header: str) -> str | None:
    """The split that a column of yes and no stands for; None if it does not."""
    key = _key(header)
    return FLAGS.get(key) or BARE_FLAGS.get(key)


def listed(cells: Iterable[str]) -> str:
    """Some texts, for a message."""
    cells = list(cells)
    more = f" and {len(cells) - MOST_HEADERS} more" if len(cells) > MOST_HEADERS else ""
    return ", ".join(repr(cell[:80]) for cell in cells[:MOST_HEADERS]) + more


def _key(text: str) -> str:
    """A header without what differs between spellings: "Image ID", "image_id" and "imageId"."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", text).casefold())


def _told(head: Head) -> str:
    return f"The table {head.path!r} has the columns {listed(head.header)}"


def _named(head: Head, argument: str, name: str | None) -> int | None:
    """The place of a column that was named."""
    if name is None:
        return None
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{argument} must be the header of a column, not {name!r}")
    for simple in (str.strip, _key):
        found = [i for i, cell in enumerate(head.header) if cell and simple(cell) == simple(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{_told(head)}: {argument} {name!r} names several of them")
    raise ValueError(f"{_told(head)}: {argument} {name!r} is none of them")


def _first(keys: Sequence[str], names: Sequence[str], free: Sequence[int]) -> int | None:
    places = {keys[place]: place for place in reversed(free)}
    return next((places[name] for name in names if name in places), None)


def _label_column(keys: Sequence[str], free: Sequence[int], is_pair: bool) -> int | None:
    """The column of classes. An "id" is none, unless it is all there is beside the images."""
    names = LABELS if is_pair else [name for name in LABELS if name != "id"]
    return _first(keys, names, free)


def _class_columns(head: Head, keys: Sequence[str], free: Sequence[int]) -> tuple[int, ...]:
    """The columns of 0 and 1, one for each class; none if there are fewer than two."""
    if not head.rows:
        return ()

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
    # "train" may be a vehicle, or say which images are for training: then a class is marked too.
    bare = [place for place in found if keys[place] in BARE_FLAGS]
    marked = [sum(row[p].lower() in YES for p in found if p < len(row)) for row in head.rows]
    if bare and max(marked) > 1:
        found = [place for place in found if place not in bare]
    return tuple(found) if len(found) > 1 else ()


def _is_share(cell: str) -> bool:
    try:
        return 0 <= float(cell) <= 1
    except ValueError:
        return False
