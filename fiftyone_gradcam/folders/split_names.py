"""Names of folders that hold a split: recognized alone, and among those beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# What splits are called, by tables, patterns and folders.
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
EVALUATED = ("eval", "evaluation")  # the test images of folders that have validation images too
# Folders beside splits whose images are to be predicted.
UNSPLIT = ("pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled", "inference")
# What is said of any folder of images.
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
    """What a folder's name says: `core` is the word of its split; `rest` all that is no such word,
    in lower case, such as ("seg",) of seg_train."""

    core: str
    rest: tuple[str, ...] = ()

    @property
    def split(self) -> str | None:
        """train, val, test, or None for images that are to be predicted."""
        return SPLITS.get(self.core)


def parse(name: str) -> SplitName | None:
    """What the name of a folder says of a split; None if it does not name one.

    Case, numbers, signs and words such as "set" or "images" make no difference: training_set,
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
    """The split that a folder's name says by itself; None if it says none."""
    found = parse(name)
    return found.split if found and not found.rest else None


def is_generic(name: str) -> bool:
    """Whether a name says no more than that there are images, such as "images" or "JPG"."""
    return bool(_bare(name)) and _ONLY_GENERIC.fullmatch(_bare(name)) is not None


def splits_of(names: Iterable[str]) -> dict[str, str | None] | None:
    """The splits of folders that stand beside each other; None unless all of them are splits.

    What else the names hold must be the same in all, and then there must be two splits: seg_train,
    seg_test and seg_pred are splits, steam_train and crash_test are not.

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
    """The splits of folders of which some are splits by their names and by what they hold.

    At least two splits must hold folders of the same name, as train/cat and test/cat do. The
    folders beside them are not splits, unless their names say more.

    Args:
        children: names of the folders in each

    Returns:
        as `splits_of`, None for those beside the splits
    """
    found = {name: parse(name) for name in children}
    alone = [name for name, one in found.items() if one and not one.rest and one.split]
    shares = any(
        found[a].split != found[b].split and children[a] & children[b] for a in alone for b in alone
    )
    return _resolved(found) if shares else None


def parting_pattern(names: Iterable[str]) -> str | None:
    """A pattern for names that are classes and splits in one, as cat_train, cat_test, dog_train,
    dog_test; None if they are not."""
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
    """Splits by name; "eval" is for validation unless other images are."""
    others = {one.split for one in found.values() if one and one.core not in EVALUATED}
    return {
        name: None
        if one is None
        else ("test" if one.core in EVALUATED and "val" in others else one.split)
        for name, one in found.items()
    }


def _bare(name: str) -> str:
    return _SIGNS_AND_NUMBERS.sub("", name).casefold()
