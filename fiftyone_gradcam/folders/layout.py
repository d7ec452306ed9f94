"""Layouts: where the class and the split of a file stand in its path."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
UNLABELLED = ("_unlabeled", "_unlabelled")
LABEL_FROM = ("folder", "file name", "pattern", "table", "nothing")
SPLIT_FROM = ("outer folder", "inner folder", "nothing")
LEVELS = ("first", "last", "joined")
# "apple_12", "1_0001", "mixed fruit-7": all before the number; "apple12": the letters.
PREFIX = re.compile(r"(?P<label>.*[^ _\-.])[ _\-.]+\d+|(?P<letters>.*[^\W\d_])\d+")

Reading = tuple[str | None, str | None]  # label and split; None where there is none


@dataclass(frozen=True)
class Layout:
    """Where the class and the split of a file stand.

    Attributes:
        label_from: where the class stands: "folder" (it is a folder's name), "file name" (what
            comes before the number of `apple_12.jpg`), "pattern", "table" (a CSV file) or
            "nothing" (no file has one)
        split_from: "outer folder" (`train/cat/1.jpg`), "inner folder" (`cat/train/1.jpg`) or
            "nothing"
        level: of nested folders (`cat/siamese/1.jpg`): "first" (cat), "last" (siamese) or
            "joined" (cat/siamese)
        pattern: a regular expression that is searched in the path below the root, whose folders
            are parted by "/"; the group named "label" is the class, one named "split" the split

    Raises:
        ValueError: if a choice is not understood
    """

    label_from: str = "folder"
    split_from: str = "nothing"
    level: str = "first"
    pattern: str | None = None

    def __post_init__(self):
        for name, known in (
            ("label_from", LABEL_FROM),
            ("split_from", SPLIT_FROM),
            ("level", LEVELS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(map(repr, known))}, not "
                    f"{getattr(self, name)!r}"
                )
        if self.label_from == "pattern":
            compiled(self.pattern)

    def read(self, parts: Sequence[str]) -> Reading:
        """The label and the split of a file.

        Args:
            parts: of its path below the root, the file's name last
        """
        folders, split = list(parts[:-1]), None
        at = {"outer folder": 0, "inner folder": -1}.get(self.split_from)
        if at is not None and folders and folders[at].lower() in SPLITS:
            split = SPLITS[folders.pop(at).lower()]
        if self.label_from == "pattern":
            found = compiled(self.pattern).search("/".join(parts))
            groups = found.groupdict() if found else {}
            split = SPLITS.get((groups.get("split") or "").lower(), split)
            return _label(groups.get("label")), split
        if self.label_from == "file name":
            return _label(prefix(parts[-1])), split
        if self.label_from != "folder" or not folders or folders[0].lower() in UNLABELLED:
            return None, split
        names = {"first": folders[:1], "last": folders[-1:], "joined": folders}[self.level]
        return _label("/".join(names)), split

    def __str__(self) -> str:
        words = {
            "folder": "the class is the name of the folder",
            "file name": "the class is the beginning of the file's name",
            "pattern": f"the class is found by the pattern {self.pattern}",
            "table": "the class stands in a table",
            "nothing": "no file has a class",
        }[self.label_from]
        if self.label_from == "folder" and self.level != "first":
            words += {"last": ", the innermost", "joined": "s, joined"}[self.level]
        if self.split_from == "nothing":
            elsewhere = self.label_from in ("table", "pattern")  # which may tell the splits too
            return words if elsewhere else f"{words}; there are no splits"
        return f"{words}; the {self.split_from} is the split"


def prefix(name: str) -> str | None:
    """What comes before the number at the end of a file's name, such as "apple" of apple_12.jpg."""
    stem = name.rpartition(".")[0] or name
    found = PREFIX.fullmatch(stem)
    return found and (found["label"] or found["letters"])


def compiled(pattern: str | None) -> re.Pattern:
    """A pattern, if it can be one.

    Raises:
        ValueError: if it is no regular expression, or has no group named "label"
    """
    if not pattern:
        raise ValueError(
            r"A pattern is needed, with a group named 'label'. For 1_0001.jpg it could be "
            r"(?P<label>\d+)_\d+\.jpg$"
        )
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} is no regular expression: {error}") from None
    if "label" not in found.groupindex:
        raise ValueError(
            f"pattern {pattern!r} has no group named 'label'. For 1_0001.jpg it could be "
            r"(?P<label>\d+)_\d+\.jpg$"
        )
    return found


def guess(paths: Sequence[Sequence[str]]) -> Layout:
    """The layout that the paths of images look like; see `Layout` for what there is.

    Args:
        paths: parts of each path below the root, the file's name last
    """
    folders = [parts[:-1] for parts in paths if len(parts) > 1]
    folders = [parts for parts in folders if parts[0].lower() not in UNLABELLED]
    splits = "nothing"
    if folders and all(parts[0].lower() in SPLITS for parts in folders):
        splits = "outer folder"
        folders = [parts[1:] for parts in folders]
    elif folders and all(len(p) > 1 and p[-1].lower() in SPLITS for p in folders):
        splits = "inner folder"
        folders = [parts[:-1] for parts in folders]
    if any(folders):
        return Layout("folder", splits)
    prefixes = Counter(prefix(parts[-1]) for parts in paths)
    unnamed = prefixes.pop(None, 0)
    # IMG_1.jpg, IMG_2.jpg: one prefix is none; and each file a class of its own is none either.
    shared = sum(count for count in prefixes.values() if count > 1)
    if len(prefixes) > 1 and 2 * shared > len(paths) and not 2 * unnamed > len(paths):
        return Layout("file name", splits)
    return Layout("nothing", splits)


def with_choices(guessed: Layout, **choices: str | None) -> Layout:
    """A layout with what was chosen instead of what was guessed.

    Args:
        guessed: for what is None
        **choices: attributes of `Layout`
    """
    chosen = {name: value for name, value in choices.items() if value is not None}
    if "pattern" in chosen:
        chosen.setdefault("label_from", "pattern")
    return replace(guessed, **chosen)


def _label(words: str | None) -> str | None:
    """A class name: one spelling of what looks alike (macOS parts letters from their accents)."""
    return unicodedata.normalize("NFC", words).strip() or None if words else None
