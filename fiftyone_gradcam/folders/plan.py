"""A plan of an import: what would be made of a folder, before anything is made."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from . import table as tables
from .files import Found, find_files
from .guessing import guess, with_choices
from .layout import Layout
from .masks import find_masks
from .remarks import MOST_NAMES, are_splits, remarks

NAMES_FILES = ("class_names.txt", "classes.txt", "classes.json", "names.txt", "labels.txt")


class Item(NamedTuple):
    """An image of a plan: absolute path, label and split (None where there is none), bytes."""

    path: str
    label: str | None
    split: str | None
    size: int


@dataclass
class Plan:
    """What would be made of a folder.

    Attributes:
        root: absolute path of the folder
        layout: where classes and splits stand
        table: path of the CSV file that the labels are from; None if from none
        names: what classes are called, by what stands for them in the folder
        items: the images, in the order of their paths
        skipped: (path, reason) of every file that should be an image and is left out
        passed_over: number of files that are none, by reason
        warnings: what a person should know before it is carried out
        choices: arguments that were not left to be guessed, by name
        archives: paths of packed files, such as .zip, which may hold images
        stopped: why no images are listed, of a folder of a hundred thousand other files
    """

    root: str
    layout: Layout
    table: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    passed_over: Counter = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    choices: dict[str, str] = field(default_factory=dict)
    archives: list[str] = field(default_factory=list)
    stopped: str | None = None

    def counts(self) -> dict[str | None, dict[str | None, int]]:
        """Number of images by split and class; None stands for none."""
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
        """Names of the classes, in order."""
        return sorted({item.label for item in self.items if item.label is not None})

    @property
    def is_unlabelled(self) -> bool:
        """Whether no classes were asked for."""
        return self.choices.get("label_from") == "nothing"

    def reasons(self) -> dict[str, int]:
        """How many files are left out for which reason."""
        return dict(Counter(reason for _, reason in self.skipped).most_common())

    def examples(self, count: int = 3) -> dict[str, list[str]]:
        """Paths of some images of each class, spread over those that there are."""
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
        """Refuse a plan that no classifier can be trained on, unless no classes were asked for.

        Raises:
            ValueError: without images, without labels, with a single class, or if the classes
                would be splits, such as training_set and test_set
        """
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.reasons().items())
        left_out = f" (left out: {left_out})" if left_out else ""
        where = f"below {self.root!r}{left_out}"
        remedy = (
            "Give the folder that holds one folder for each class, or say where the class stands "
            "by label_from, pattern or table"
        )
        if self.stopped:
            raise ValueError(f"No images below {self.root!r}. {self.stopped}")
        if self.archives and len(self.classes) < 2 and not (self.is_unlabelled and self.items):
            first = os.path.relpath(self.archives[0], self.root)
            remedy = f"Unpack the {len(self.archives)} packed files, such as {first!r}. {remedy}"
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
        lines = [f"{self.root}: {len(self.items)} files, {len(self.classes)} classes"]
        lines.append(f"Layout: {self.layout}" + (f" ({self.table})" if self.table else ""))
        for split, classes in self.counts().items():
            parts = [f"{name or 'unlabelled'} {count}" for name, count in classes.items()]
            more = f" and {len(parts) - MOST_NAMES} more" if len(parts) > MOST_NAMES else ""
            title = split or ("no split" if self.layout.split_from != "nothing" else "classes")
            lines.append(f"  {title}: {', '.join(parts[:MOST_NAMES])}{more}")
        for reason, count in self.passed_over.items():
            lines.append(f"Passed over: {count} {reason}")
        lines += [f"Left out: {count} {reason}" for reason, count in self.reasons().items()]
        lines += [f"Note: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def plan_import(
    path: str,
    label_from: str | None = None,
    split_from: str | None = None,
    level: str | None = None,
    pattern: str | None = None,
    table: str | None = None,
    class_names: str | None = None,
    skip: Sequence[str] = (),
    keep_masks: bool = False,
) -> Plan:
    """Say what `import_folders` would make of a folder; print it.

    No file is opened, but for some of those that may be masks. Masks of images are left out: files
    that have the name of an image and another extension (`1.jpg`, `1.png`), an ending such as
    `_mask`, or a folder called masks, ground_truth or the like, and that look like masks.

    Args:
        path: the folder
        label_from: where the class stands: "folder", "file name" (what comes before the number of
            `apple_12.jpg`), "pattern", "table" or "nothing"; None guesses
        split_from: where the split stands: "outer folder" (`train/cat/1.jpg`), "inner folder"
            (`cat/train/1.jpg`) or "nothing"; None guesses. Folders may be called train, val,
            valid, validation, dev, eval, test or holdout, in any case, with words such as set or
            images and with numbers: training_set, "Train Data", val2017, seg_test beside seg_train
        level: which of nested folders is the class: "first", "last" or "joined"; None: "first"
        pattern: a regular expression with a group named "label", and perhaps one named "split",
            that is searched in the path below the folder, for a second at most
        table: a CSV file with columns for path, label and, perhaps, split
        class_names: a file of lines such as `1 = Makino`, or a JSON object: what the classes are
            called, by what stands for them; None takes classes.txt or the like in the folder, if
            it names all of them
        skip: patterns of names or paths below the folder that are passed over, such as "*_old.*"
        keep_masks: take masks for images, too

    Returns:
        the plan: `items` (path, label, split), `skipped`, `passed_over`, `warnings`, `counts()`,
        `examples()`; printing it shows all that in words

    Raises:
        FileNotFoundError, NotADirectoryError: if the path is no folder, or there is no such file
        ValueError: if an argument, the table or the file of names is not understood
    """
    root = os.path.abspath(os.path.expanduser(path))
    if not os.path.exists(root):
        raise FileNotFoundError(f"No folder at {root!r}")
    if not os.path.isdir(root):
        raise NotADirectoryError(f"{root!r} is a file. Give the folder that holds class folders")
    skip = [skip] if isinstance(skip, str) else list(skip)
    table, class_names = _given(table, root), _given(class_names, root)
    choices = {
        "label_from": label_from,
        "split_from": split_from,
        "level": level,
        "pattern": pattern,
        "table": table,
        "class_names": class_names,
        "skip": skip or None,
        "keep_masks": keep_masks or None,
    }
    found = find_files(root, tuple(skip))
    plan = Plan(root, Layout(), skipped=found.skipped, passed_over=found.passed_over)
    plan.archives, plan.stopped = found.archives, found.stopped
    plan.warnings = [*found.notes, *([found.stopped] if found.stopped else [])]
    if not keep_masks:
        _leave_out_masks(plan, found)
    files = found.files
    paths = [os.path.relpath(file, root).split(os.sep) for file in files]
    guessed = guess(paths)
    if label_from == "table" or table is not None:
        label_from = "table"
        plan.table = table or tables.find_table(root)
        if plan.table is None:
            raise ValueError(
                f"There is no table, or more than one, in {root!r}. Give its path as table"
            )
    elif label_from is None and pattern is None:
        at_hand = tables.find_table(root)
        labels = {label for label, _ in guessed.read_all(paths)} - {None}
        if at_hand and (guessed.label_from != "folder" or len(labels) < 2):
            plan.table, label_from = at_hand, "table"
        elif at_hand:
            plan.warnings.append(
                f"The table {os.path.basename(at_hand)} is not used. To take the classes from it, "
                f"say that they stand in a table"
            )
    plan.layout = with_choices(
        guessed, paths, label_from=label_from, split_from=split_from, level=level, pattern=pattern
    )
    readings = plan.layout.read_all(paths)
    if plan.table is not None:
        by_path, left_out = tables.read_table(plan.table, root, files)
        plan.skipped += left_out
        readings = [
            (by_path[file][0], by_path[file][1] or split) if file in by_path else (None, split)
            for file, (_, split) in zip(files, readings, strict=True)
        ]
    plan.names = _names(root, class_names, {label for label, _ in readings} - {None})
    plan.items = [
        Item(file, plan.names.get(label, label) if label is not None else None, split, size)
        for file, size, (label, split) in zip(files, found.sizes, readings, strict=True)
    ]
    plan.warnings += remarks(plan, paths, readings, found.same)
    plan.choices = {name: value for name, value in choices.items() if value is not None}
    return plan


def _given(path: str | None, root: str) -> str | None:
    """A file that was named, here or in the folder."""
    if path is None:
        return None
    path = os.path.expanduser(path)
    for found in (os.path.abspath(path), os.path.join(root, path)):
        if os.path.isfile(found):
            return found
    raise FileNotFoundError(f"No file {path!r}, here or in {root!r}. Give its path")


def _leave_out_masks(plan: Plan, found: Found) -> None:
    """Take the masks from the files."""
    masks = find_masks(found.files, plan.root)
    if not masks.images:
        return
    kept = [
        pair for pair in zip(found.files, found.sizes, strict=True) if pair[0] not in masks.images
    ]
    found.files, found.sizes = [path for path, _ in kept], [size for _, size in kept]
    plan.passed_over.update(masks.reasons)
    mask, image = masks.example()
    of_image = f", the mask of {os.path.relpath(image, plan.root)}" if image else ""
    plan.warnings.append(
        f"{len(masks.images)} files are masks of images and left out, such as "
        f"{os.path.relpath(mask, plan.root)}{of_image}. To import them too, keep masks"
    )


def _names(root: str, path: str | None, labels: set[str]) -> dict[str, str]:
    """What the classes are called."""
    if path is not None:
        return tables.read_names(path)
    for name in NAMES_FILES:
        try:
            names = tables.read_names(os.path.join(root, name))
        except (OSError, ValueError):
            continue
        if labels and labels <= set(names):
            return names
    return {}


def _order(name: str | None) -> tuple:
    places = {"train": 0, "val": 1, "test": 2}
    return name is None, places.get(name, 3), name or ""
