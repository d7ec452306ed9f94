"""Names of split folders, recognized alone or together with the folders next to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Names of splits in tables, patterns and folders.
SPLITS = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "dev": "val",
    "eval": "val",
    "evaluation": "val",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}
EVALUATED = ("eval", "evaluation")  # test images if there are also validation images
# Folders next to splits with images that are to be predicted.
UNSPLIT = ("pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled", "inference")
# Words that occur in names of any folder of images.
WORDS = (
    "set sets data dataset datasets image images img imgs jpegimages picture pictures pic pics "
    "photo photos file files folder folders split splits sample samples example examples jpg jpgs "
    "jpeg png pngs raw rawimg rawimages"
)
GENERIC = sorted(WORDS.split(), key=len, reverse=True)
_CORES = "|".join(sorted((*SPLITS, *UNSPLIT), key=len, reverse=True))
_GENERIC = f"(?:{'|'.join(GENERIC)})*"
_WHOLE = re.compile(f"{_GENERIC}(?P<core>{_CORES}){_GENERIC}")
_ONLY_GENERIC = re.compile(_GENERIC)
_PIECES = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
_SIGNS_AND_NUMBERS = re.compile(r"[\W_\d]+")


@dataclass(frozen=True)
class SplitName:
    """The parsed name of a split folder.

    `core` is the word for the split. `rest` contains all other words in lower case, except generic
    ones, such as ("seg",) for seg_train.
    """

    core: str
    rest: tuple[str, ...] = ()

    @property
    def split(self) -> str | None:
        """train, val, test, or None for images to be predicted."""
        return SPLITS.get(self.core)


def parse(name: str) -> SplitName | None:
    """Parse the name of a split folder; return None if it does not name a split.

    Case, numbers, punctuation and words such as "set" or "images" are ignored: training_set,
    "Train Data", test1, val2017, TestImages.
    """
    if whole := _WHOLE.fullmatch(_bare(name)):
        return SplitName(whole["core"])
    cores, rest = [], []
    for piece in filter(None, map(_bare, _PIECES.split(name))):
        if found := _WHOLE.fullmatch(piece):
            cores.append(found["core"])
        elif not _ONLY_GENERIC.fullmatch(piece):
            rest.append(piece)
    return SplitName(cores[0], tuple(rest)) if len(cores) == 1 else None


def split_of(name: str) -> str | None:
    """Return the split that a folder's name gives on its own; None if there is none."""
    found = parse(name)
    return found.split if found and not found.rest else None


def is_generic(name: str) -> bool:
    """Return whether a name only says that there are images, such as "images" or "JPG"."""
    return bool(_bare(name)) and _ONLY_GENERIC.fullmatch(_bare(name)) is not None


def splits_of(names: Iterable[str]) -> dict[str, str | None] | None:
    """Return the splits of folders next to each other; None unless all of them are splits.

    Additional words in the names must be the same in all, and then there must be two splits:
    seg_train, seg_test and seg_pred are splits, steam_train and crash_test are not.

    Returns:
        train, val, test or None (images to be predicted), by name
    """
    found = {name: parse(name) for name in names}
    if not found or None in found.values():
        return None
    alone = {one.split for one in found.values() if not one.rest} - {None}
    rests = {one.rest for one in found.values()}
    splits = {one.split for one in found.values()} - {None}
    is_one_family = len(rests) == 1 and (alone or len(splits) > 1)
    return _resolved(found) if is_one_family or len(alone) > 1 else None


def splits_among(children: Mapping[str, set[str]]) -> dict[str, str | None] | None:
    """Return the splits among folders, some of which are splits by their names and content.

    At least two splits must contain folders with the same name, such as train/cat and test/cat. The
    folders next to them are not splits, unless their names contain one.

    Args:
        children: names of the folders in each folder

    Returns:
        like `splits_of`, with None for folders that are not splits
    """
    found = {name: parse(name) for name in children}
    alone = [name for name, one in found.items() if one and not one.rest and one.split]
    shares = any(
        found[a].split != found[b].split and children[a] & children[b] for a in alone for b in alone
    )
    return _resolved(found) if shares else None


def parting_pattern(names: Iterable[str]) -> str | None:
    """Return a pattern for names that combine class and split; None if they do not.

    For example cat_train, cat_test, dog_train, dog_test.
    """
    found = {name: parse(name) for name in names}
    if not found or any(one is None or not one.rest for one in found.values()):
        return None
    splits: dict[tuple, set] = {}
    for one in found.values():
        splits.setdefault(one.rest, set()).add(one.split)
    if any(len(own) < 2 for own in splits.values()):
        return None
    words = "|".join(sorted({one.core for one in found.values()}))
    name, one = next(iter(found.items()))
    if name.casefold().startswith(one.core):
        return rf"(?i)(?P<split>{words})\d*[ _.-]*(?P<label>[^/]+)/"
    return rf"(?i)(?P<label>[^/]+?)[ _.-]*(?P<split>{words})\d*/"


def _resolved(found: Mapping[str, SplitName | None]) -> dict[str, str | None]:
    """Return splits by name; "eval" means validation unless another folder does."""
    others = {one.split for one in found.values() if one and one.core not in EVALUATED}
    return {
        name: None
        if one is None
        else ("test" if one.core in EVALUATED and "val" in others else one.split)
        for name, one in found.items()
    }


def _bare(name: str) -> str:
    return _SIGNS_AND_NUMBERS.sub("", name).casefold()
