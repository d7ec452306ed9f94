"""Dataset names that FiftyOne accepts.

FiftyOne turns each name into an address of Latin letters and digits, which must be unique.
"""

from __future__ import annotations

import os
import re
from itertools import count

import fiftyone as fo
import fiftyone.core.utils as fou

from .import_record import INFO_KEY

NO_LETTERS = "images"  # appended to a name without Latin letters or digits


def name_for(root: str) -> str:
    """Return the default name of the dataset that is imported from a folder.

    This is the name of the folder, changed if FiftyOne does not accept it: 图片 becomes
    "图片 images", and food-set becomes "food-set 2" if there is a dataset "Food Set". If a dataset
    was imported from the folder before, its name is returned.

    Args:
        root: absolute path of the folder
    """
    own = os.path.basename(root) or NO_LETTERS
    if _slug(own) is None:
        own = f"{own[:1000]} {NO_LETTERS}"
    names = fo.list_datasets()
    numbered = re.compile(re.escape(own) + r"( \d+)?")
    for name in names:
        if numbered.fullmatch(name) and _source(name) == root:
            return name
    taken = {_slug(name) for name in names} if own not in names else set()
    return own if _slug(own) not in taken else _numbered(own, taken)


def check_name(name: str) -> None:
    """Check that FiftyOne accepts a dataset name.

    Raises:
        ValueError: if it does not; the message says what to do
    """
    if fo.dataset_exists(name):
        return
    slug = _slug(name)
    if slug is None:
        raise ValueError(
            f"{name[:100]!r} is not a valid dataset name: FiftyOne needs at least one letter from "
            f"A to Z or a digit, and at most 1551 characters. It could be "
            f"'{name[:50]} {NO_LETTERS}'"
        )
    for other in fo.list_datasets():
        if _slug(other) == slug:
            raise ValueError(
                f"{name!r} cannot be the name of a dataset because of {other!r}: both would have "
                f"the address {slug!r} in FiftyOne. Choose another name"
            )


def _numbered(own: str, taken: set[str | None]) -> str:
    return next(name for i in count(2) if _slug(name := f"{own} {i}") not in taken)


def _source(name: str) -> str | None:
    """Return the folder that a dataset was imported from; None if there is none."""
    return fo.load_dataset(name).info.get(INFO_KEY, {}).get("path")


def _slug(name: str) -> str | None:
    try:
        return fou.to_slug(name)
    except ValueError:
        return None
