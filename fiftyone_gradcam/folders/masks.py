"""Masks among images, recognized by their names and places, and confirmed by their pixels."""

from __future__ import annotations

import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from .appearance import is_like_mask, is_mask, is_photo

BESIDE, APART = "masks beside images", "masks in a folder of their own"
# x_mask.png, x_mask_1.png, x-gt.png next to x.jpg
ENDING = re.compile(
    r"(?P<stem>.+)[_\-. ](?:masks?|seg|segmentation|labelids|gt|ground[_\-]?truth|label|labels|"
    r"annotation|annot|trimap|matte)(?:[_\-]?\d+)?",
    re.IGNORECASE | re.DOTALL,
)
# Words in names of folders of masks, unless the pixels contradict.
APART_WORDS = (
    "mask masks gt gts groundtruth groundtruths truth truths annotation annotations annot annots "
    "seg segs segmentation segmentations segmap segmaps trimap trimaps matte mattes label labels "
    "labelmap labelmaps maskimages imagemasks segmasks"
)
WORDS = frozenset(APART_WORDS.split())
SURE = {"mask", "masks", "groundtruth", "groundtruths", "gt", "trimap", "trimaps", "truth"}
_PIECES = re.compile(r"[\W_\d]+|(?<=[a-z])(?=[A-Z])")
# Numbers of files and folders that are sampled. If folders differ, all of them are checked; if
# files in a folder differ, all of them are checked, up to MOST.
SAMPLE, FOLDERS, MOST = 10, 12, 1000


@dataclass
class Masks:
    """Masks among the images of a folder.

    Attributes:
        images: the image of each mask, by path of the mask; None if it is unknown
        reasons: number of masks by location
    """

    images: dict[str, str | None] = field(default_factory=dict)
    reasons: Counter = field(default_factory=Counter)

    def _add(self, path: str, image: str | None, reason: str) -> None:
        if path not in self.images:
            self.images[path] = image
            self.reasons[reason] += 1

    def example(self) -> tuple[str, str | None]:
        """Return a mask and its image, preferably one whose image is known."""
        known = ((mask, image) for mask, image in self.images.items() if image is not None)
        return next(known, next(iter(self.images.items())))


def find_masks(files: Sequence[str], root: str) -> Masks:
    """Find masks among images.

    A file may be a mask if its name is that of another file except for the extension (`1.jpg`,
    `1.png`), or ends with a suffix such as `_mask`, or if it is in a folder called masks,
    ground_truth or similar. It is a mask if it looks like one (see `appearance`) and the other file
    like a photo. If there are many such files in a folder, a sample is checked, and all files if
    the sample differs.

    Args:
        files: absolute paths
        root: absolute path of the folder
    """
    found = Masks()
    apart = _folders_of_masks(files, root)
    _find_apart(found, apart, files)
    rest = [path for path in files if path not in found.images]
    _find_ended(found, rest)
    _find_siblings(found, [path for path in rest if path not in found.images])
    return found


def _folders_of_masks(files: Sequence[str], root: str) -> dict[str, list[str]]:
    """Return files in folders with a name for masks, by the outermost such folder."""
    found, known = defaultdict(list), {}
    for path in files:
        folder = os.path.dirname(path)
        if folder not in known:
            parts = os.path.relpath(folder, root).split(os.sep)
            at = next((i for i, name in enumerate(parts) if _words(name) & WORDS), None)
            known[folder] = None if at is None else os.path.join(root, *parts[: at + 1])
        if known[folder] is not None:
            found[known[folder]].append(path)
    return found


def _words(name: str) -> set[str]:
    pieces = [piece.casefold() for piece in _PIECES.split(name)]
    return {*pieces, "".join(pieces)}


def _find_apart(found: Masks, apart: dict[str, list[str]], files: Sequence[str]) -> None:
    """Find masks in separate folders."""
    if not apart:
        return
    in_them = {path for paths in apart.values() for path in paths}
    others = defaultdict(list)
    for path in files:
        if path not in in_them:
            others[_stem(path)].append(path)
    images = {path: _nearest(path, others) for path in in_them}
    pairs = {
        folder: [(path, images[path]) for path in paths if images[path]]
        for folder, paths in apart.items()
    }
    judged = _judge({folder: own for folder, own in pairs.items() if own})
    for folder, paths in apart.items():
        if pairs[folder]:
            if all(judged[path] for path, _ in pairs[folder]):
                judged |= dict.fromkeys(paths, True)
        elif _words(os.path.basename(folder)) & SURE:
            # Files with other names than the images are masks if all of them look like masks, and
            # the images do not.
            some = _some([own[0] for own in others.values()], SAMPLE)
            are_masks = all(map(is_like_mask, _some(paths, SAMPLE)))
            judged |= dict.fromkeys(paths, are_masks and any(map(is_photo, some)))
        for path in paths:
            if judged.get(path):
                found._add(path, images[path], APART)


def _nearest(path: str, others: dict[str, list[str]]) -> str | None:
    """Return the file with the name of a mask whose folders are most similar."""
    stem = _stem(path)
    ended = ENDING.fullmatch(stem)
    candidates = others.get(stem) or (others.get(ended["stem"]) if ended else None)
    if not candidates:
        return None
    own = Counter(path.split(os.sep)[:-1])
    return max(candidates, key=lambda other: (own & Counter(other.split(os.sep)[:-1])).total())


def _find_ended(found: Masks, files: Sequence[str]) -> None:
    """Find masks next to their images by suffixes of names, unless they look like photos."""
    beside = {os.path.splitext(path)[0]: path for path in files}
    kinds: dict[str, dict] = defaultdict(lambda: defaultdict(list))
    images = {}
    for path in files:
        whole = os.path.splitext(path)[0]
        ended = ENDING.fullmatch(whole)
        if ended and (image := beside.get(ended["stem"])):
            images[path] = image
            ending = whole[len(ended["stem"]) :].lower().rstrip("0123456789")
            kinds[ending][os.path.dirname(path)].append((path, image))
    for groups in kinds.values():
        for path, is_one in _judge(groups, by_name=True).items():
            if is_one:
                found._add(path, images[path], BESIDE)


def _find_siblings(found: Masks, files: Sequence[str]) -> None:
    """Find masks that have the name of an image, and another extension."""
    alike = defaultdict(list)
    for path in files:
        alike[os.path.splitext(path)[0]].append(path)
    kinds: dict[tuple, dict] = defaultdict(lambda: defaultdict(list))
    for paths in alike.values():
        for path in paths:
            for other in paths:
                if other != path:
                    kind = os.path.splitext(path)[1].lower(), os.path.splitext(other)[1].lower()
                    kinds[kind][os.path.dirname(path)].append((path, other))
    for groups in kinds.values():
        images = dict(pair for pairs in groups.values() for pair in pairs)
        for path, is_one in _judge(groups).items():
            if is_one and images[path] not in found.images:
                found._add(path, images[path], BESIDE)


def _judge(groups: dict[str, list[tuple[str, str]]], by_name: bool = False) -> dict[str, bool]:
    """Return which files are masks of the given images.

    Args:
        groups: (file, image) pairs, by folder
        by_name: whether their names suggest masks: then they are, unless they look like photos

    Returns:
        the result for each file
    """

    def sample(pairs: list) -> bool | None:
        """Return the common result of some files, if it can be decided; None if they differ."""
        answers = {is_mask(*pair, by_name) for pair in _some(pairs, SAMPLE)} - {None}
        return None if len(answers) > 1 else True in answers

    seen = {folder: sample(groups[folder]) for folder in _some(list(groups), FOLDERS)}
    common = set(seen.values())
    judged = {}
    for folder, pairs in groups.items():
        if folder in seen:
            answer = seen[folder]
        else:
            answer = next(iter(common)) if len(common) == 1 else sample(pairs)
        each = [answer] * len(pairs)
        if answer is None:
            each[:MOST] = [is_mask(*pair, by_name) for pair in pairs[:MOST]]
            most = each.count(True) > each.count(False)
            each = [most if one is None else one for one in each]
        judged |= {path: one for (path, _), one in zip(pairs, each, strict=True)}
    return judged


def _some(values: Sequence, count: int) -> list:
    """Return a reproducible random sample; not at equal intervals, because files may alternate."""
    return random.Random(0).sample(list(values), min(count, len(values)))


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
