"""Import plans: what an import would do with a folder."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from ..progress import counted, counted_as
from .layout import Layout
from .remarks import MOST_NAMES, are_splits


class Item(NamedTuple):
    """An image in a plan: absolute path, label and split (None if missing), and size in bytes."""

    path: str
    label: str | None
    split: str | None
    size: int


@dataclass
class Plan:
    """What an import would do with a folder.

    Attributes:
        root: absolute path of the folder
        layout: where classes and splits are given
        tables: how the columns of each CSV file with labels are used, by path
        unused: why the other CSV files in the folder are not used, by path
        names: class names by the names used in the folder
        items: the images, sorted by path
        skipped: (path, reason) of every file that should be an image and is left out
        passed_over: number of files that are not images, by reason
        warnings: warnings about the import
        choices: arguments that were given instead of guessed, by name
        archives: paths of archives, such as .zip, which may contain images
        stopped: why no images are listed, for a folder of 100,000 other files
    """

    root: str
    layout: Layout
    tables: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    passed_over: Counter = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    choices: dict[str, str] = field(default_factory=dict)
    archives: list[str] = field(default_factory=list)
    stopped: str | None = None

    def counts(self) -> dict[str | None, dict[str | None, int]]:
        """Return the number of images by split and class; None means no split or no class."""
        found = Counter((item.split, item.label) for item in self.items)
        splits = sorted({split for split, _ in found}, key=_order)
        return {
            split: {
                label: found[split, label]
                for label in sorted({x for s, x in found if s == split}, key=_order)
            }
            for split in splits
        }

    @property
    def classes(self) -> list[str]:
        """Sorted names of the classes."""
        return sorted({item.label for item in self.items if item.label is not None})

    @property
    def is_unlabelled(self) -> bool:
        """Whether the user asked for no classes."""
        return self.choices.get("label_from") == "nothing"

    @property
    def table(self) -> str | None:
        """Path of the CSV file with the labels, or the first of several; None if there is none."""
        return next(iter(self.tables), None)

    @property
    def table_words(self) -> list[str]:
        """Descriptions of how the columns of tables are used, and of tables that are not used."""
        shown = {path: os.path.relpath(path, self.root) for path in (*self.tables, *self.unused)}
        used = [f"Table {shown[path]}: {words}" for path, words in self.tables.items()]
        unused = [f"Table not used: {shown[path]} ({why})" for path, why in self.unused.items()]
        more = len(unused) - MOST_NAMES
        return used + unused[:MOST_NAMES] + [f"and {counted(more, 'more table')}"] * (more > 0)

    def reasons(self) -> dict[str, int]:
        """Return the number of files that are left out, by reason."""
        return dict(Counter(reason for _, reason in self.skipped).most_common())

    def examples(self, count: int = 3) -> dict[str, list[str]]:
        """Return paths of some images of each class, evenly spread over its images."""
        by_class: dict[str, list[str]] = {name: [] for name in self.classes}
        for item in self.items:
            if item.label is not None:
                by_class[item.label].append(item.path)
        return {
            name: [paths[i * len(paths) // count] for i in range(min(count, len(paths)))]
            if len(paths) > count
            else paths
            for name, paths in by_class.items()
        }

    def check(self) -> None:
        """Check that a classifier can be trained on the plan, unless no classes were requested.

        Raises:
            ValueError: if there are no images, no labels, or a single class, or if the classes are
                splits, such as training_set and test_set
        """
        left_out = ", ".join(counted_as(n, reason) for reason, n in self.reasons().items())
        left_out = f" (left out: {left_out})" if left_out else ""
        where = f"below {self.root!r}{left_out}"
        remedy = (
            "Give the folder that contains one folder for each class, or choose where the class is "
            "given by label_from, pattern or table"
        )
        if self.unused:
            remedy += f". {'; '.join(self.table_words[len(self.tables) :])}"
        if self.stopped:
            raise ValueError(f"No images below {self.root!r}. {self.stopped}")
        if self.archives and len(self.classes) < 2:
            first = os.path.relpath(self.archives[0], self.root)
            remedy = f"Unpack the {len(self.archives)} archives, such as {first!r}. {remedy}"
        if not self.items:
            raise ValueError(f"No images {where}. {remedy}")
        if self.is_unlabelled:
            return
        if not self.classes:
            raise ValueError(f"No image has a class {where}: {self.layout}. {remedy}")
        if len(self.classes) == 1:
            raise ValueError(
                f"Only one class, {self.classes[0]!r}, {where}. A classifier needs two. {remedy}"
            )
        if reason := are_splits(self.classes, self.layout):
            raise ValueError(reason)

    def __str__(self) -> str:
        lines = [
            f"{self.root}: {counted(len(self.items), 'file')}, "
            f"{counted(len(self.classes), 'class', 'classes')}"
        ]
        lines += [f"Layout: {self.layout}", *self.table_words]
        for split, classes in self.counts().items():
            parts = [f"{name or 'unlabeled'} {count}" for name, count in classes.items()]
            more = f" and {len(parts) - MOST_NAMES} more" if len(parts) > MOST_NAMES else ""
            title = split or ("no split" if self.layout.split_from != "nothing" else "classes")
            lines.append(f"  {title}: {', '.join(parts[:MOST_NAMES])}{more}")
        for reason, count in self.passed_over.items():
            lines.append(f"Skipped: {counted_as(count, reason)}")
        first = {reason: path for path, reason in reversed(self.skipped)}
        lines += [
            f"Left out: {counted_as(count, reason)}, such as {first[reason]}"
            for reason, count in self.reasons().items()
        ]
        lines += [f"Note: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def _order(name: str | None) -> tuple:
    places = {"train": 0, "val": 1, "test": 2}
    return name is None, places.get(name, 3), name or ""
