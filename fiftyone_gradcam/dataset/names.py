"""Names of datasets that FiftyOne accepts: it makes an address of each, of Latin letters and
digits, and no two datasets may have the same one."""

from __future__ import annotations

import os
import re
from itertools import count

import fiftyone as fo
import fiftyone.core.utils as fou

from .import_record import INFO_KEY

NO_LETTERS = "images"  # is added to a name without Latin letters or digits


def name_for(root: str) -> str:
    """The name of the dataset of a folder, if the user gives none.

    The folder's own name, as far as FiftyOne accepts it: 图片 becomes "图片 images", and food-set
    becomes "food-set 2" beside a dataset "Food Set". A dataset that was imported from the folder
    keeps its name.

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
    """Refuse a name for a dataset that FiftyOne would not accept.

    Raises:
        ValueError: with the remedy
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
                f"{name!r} cannot be the name of a dataset beside {other!r}: both would have the "
                f"address {slug!r} in FiftyOne. Choose another name"
            )


def _numbered(own: str, taken: set[str | None]) -> str:
    return next(name for i in count(2) if _slug(name := f"{own} {i}") not in taken)


def _source(name: str) -> str | None:
    """The folder that a dataset was imported from."""
    return fo.load_dataset(name).info.get(INFO_KEY, {}).get("path")


def _slug(name: str) -> str | None:
    try:
        return fou.to_slug(name)
    except ValueError:
        return None
