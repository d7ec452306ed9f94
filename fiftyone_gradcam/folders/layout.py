"""Layouts: where the class and the split of a file are given in its path."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .patterns import check_pattern, search_all
from .split_names import split_of

UNLABELLED = ("_unlabeled", "_unlabelled")
LABEL_FROM = ("folder", "file name", "pattern", "table", "nothing")
SPLIT_FROM = ("outer folder", "inner folder", "nothing")
LEVELS = ("first", "last", "joined")
# The part before the number in "apple_12", "1_0001", "mixed fruit-7" and "cat (3)", or the letters
# in "apple12".
PREFIX = re.compile(
    r"(?P<label>.*[^ _\-.(])(?:[ _\-.]+\d+|[ _\-.]*\(\d+\))|(?P<letters>.*[^\W\d_])\d+"
)

Reading = tuple[str | None, str | None]  # label and split, None if there is none


@dataclass(frozen=True)
class Layout:
    """Where the class and the split of a file are given.

    Attributes:
        label_from: where the class is given: "folder" (name of a folder), "file name" (the part
            before the number in `apple_12.jpg`), "pattern", "table" (a CSV file) or "nothing" (no
            file has a class)
        split_from: where the split is given: "outer folder" (`train/cat/1.jpg`), "inner folder"
            (`cat/train/1.jpg`) or "nothing"
        level: which of several nested folders (`cat/siamese/1.jpg`) names the class: "first" (cat),
            "last" (siamese) or "joined" (cat/siamese)
        pattern: a regular expression that is searched in the path relative to the root, with "/"
            between folders; the group named "label" is the class, and a group named "split" the
            split
        splits: split of folders, by name, if the name alone does not determine it
        passed: folders, by their parts below the root, that are neither class nor split, because
            they contain everything, such as `photos` in `photos/cat/1.jpg`, `photos/dog/1.jpg`

    Raises:
        ValueError: if a choice is invalid
    """

    label_from: str = "folder"
    split_from: str = "nothing"
    level: str = "first"
    pattern: str | None = None
    splits: Mapping[str, str | None] = field(default_factory=dict)
    passed: frozenset[tuple[str, ...]] = frozenset()

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
            check_pattern(self.pattern)

    def read(self, parts: Sequence[str]) -> Reading:
        """Return the label and the split of a file.

        Args:
            parts: parts of its path relative to the root, ending with the file's name
        """
        return self.read_all([parts])[0]

    def read_all(self, paths: Sequence[Sequence[str]]) -> list[Reading]:
        """Return the label and the split of each file.

        Args:
            paths: parts of each path relative to the root, ending with the file's name

        Raises:
            ValueError: if the pattern takes more than a second
        """
        parted = [self.class_folders(parts) for parts in paths]
        if self.label_from == "pattern":
            groups = search_all(self.pattern, ["/".join(parts) for parts in paths])
            return [
                (_label(label), split_of(named or "") or split)
                for (label, named), (_, split) in zip(groups, parted, strict=True)
            ]
        return [
            (self._label(parts[-1], folders), split)
            for parts, (folders, split) in zip(paths, parted, strict=True)
        ]

    def class_folders(self, parts: Sequence[str]) -> tuple[list[str], str | None]:
        """Return the folders of a file that may be classes, and the split given by another one."""
        folders = [
            name for i, name in enumerate(parts[:-1]) if tuple(parts[: i + 1]) not in self.passed
        ]
        at = {"outer folder": [0], "inner folder": range(len(folders) - 1, 0, -1)}
        for i in at.get(self.split_from, ()) if folders else ():
            name = folders[i]
            if name in self.splits or (not self.splits and split_of(name)):
                del folders[i]
                return folders, self.splits[name] if self.splits else split_of(name)
        return folders, None

    def _label(self, name: str, folders: Sequence[str]) -> str | None:
        if self.label_from == "file name":
            return _label(prefix(name))
        if self.label_from != "folder" or not folders or folders[0].lower() in UNLABELLED:
            return None
        chosen = {"first": folders[:1], "last": folders[-1:], "joined": folders}[self.level]
        return _label("/".join(chosen))

    def __str__(self) -> str:
        words = {
            "folder": "the class is the name of the folder",
            "file name": "the class is the beginning of the file name",
            "pattern": f"the class is found by the pattern {self.pattern}",
            "table": "the class is given in a table",
            "nothing": "no file has a class",
        }[self.label_from]
        if self.label_from == "folder" and self.level != "first":
            words += {"last": ", the innermost", "joined": "s, joined"}[self.level]
        if self.split_from == "nothing":
            elsewhere = self.label_from in ("table", "pattern")  # which may also give the splits
            return words if elsewhere else f"{words}; there are no splits"
        return f"{words}; the {self.split_from} is the split"


def prefix(name: str) -> str | None:
    """Return the part before the number in a file's name, such as "apple" of apple_12.jpg."""
    stem = name.rpartition(".")[0] or name
    found = PREFIX.fullmatch(stem)
    return found and (found["label"] or found["letters"])


def _label(words: str | None) -> str | None:
    """Return a normalized class name (macOS decomposes accented letters); None if it is empty."""
    return unicodedata.normalize("NFC", words).strip() or None if words else None
