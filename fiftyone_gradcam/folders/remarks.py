"""Warnings about an import plan."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..progress import counted
from .layout import Layout
from .split_names import parse, parting_pattern, split_of, splits_of

if TYPE_CHECKING:
    from .plan import Plan

MOST_NAMES = 8


def remarks(
    plan: Plan, paths: Sequence[Sequence[str]], readings: Sequence[tuple], same: list[list[str]]
) -> list[str]:
    """Return warnings about a plan.

    Args:
        plan: the plan, with its images, layout and names
        paths: parts of the images' paths relative to the folder
        readings: (label, split) of each image, before classes are renamed
        same: groups of paths of the same file
    """
    found = []
    if plan.names:
        nameless = sorted({x for x, _ in readings if x is not None} - set(plan.names))
        if nameless:
            missing = ", ".join(nameless[:MOST_NAMES])
            found.append(f"The file of class names has no name for {missing}")
    unlabelled = sum(item.label is None for item in plan.items)
    if unlabelled and plan.classes:
        found.append(
            f"{counted(unlabelled, 'image has', 'images have')} no class: unlabeled samples"
        )
    folded = Counter(name.casefold() for name in plan.classes)
    alike = [name for name in plan.classes if folded[name.casefold()] > 1]
    if alike:
        found.append(f"Classes that differ only in case: {', '.join(alike[:MOST_NAMES])}")
    if splits := [name for name in plan.classes if split_of(name)]:
        found.append(
            f"Classes are called {', '.join(splits[:MOST_NAMES])}. If these are splits, move other "
            f"folders next to them elsewhere"
        )
    found += _of_folders(plan, paths)
    counts = Counter(item.label for item in plan.items if item.label is not None)
    if counts and max(counts.values()) > 20 * min(counts.values()):
        rarest, count = min(counts.items(), key=lambda pair: pair[1])
        found.append(
            f"Classes are of very different sizes: {rarest!r} has {counted(count, 'image')}"
        )
    return found + _of_same(plan, same)


def are_splits(classes: Sequence[str], layout: Layout) -> str | None:
    """Return a message if the classes are splits, which must not be trained on, else None."""
    named = ", ".join(map(repr, classes[:MOST_NAMES]))
    if splits_of(classes):
        return (
            f"The classes would be {named}, which are splits: {layout}. Choose where the split is "
            f"given by split_from ('outer folder' or 'inner folder'), and where the class is given "
            f"by label_from ('folder', 'file name', 'pattern' or 'table')"
        )
    if pattern := parting_pattern(classes):
        return (
            f"The classes would be {named}, which combine classes and splits. Separate them by a "
            f"pattern with the groups label and split, such as {pattern}"
        )
    return None


def _of_folders(plan: Plan, paths: Sequence[Sequence[str]]) -> list[str]:
    """Describe folders that are neither class nor split, and how folders in classes are handled."""
    layout, found = plan.layout, []
    if layout.label_from not in ("folder", "file name", "nothing"):
        return found
    if around := sorted(parts for parts in layout.passed):
        found.append(
            f"The folder {', '.join(map('/'.join, around[:MOST_NAMES]))} contains everything else: "
            f"the classes are found inside it"
        )
    folders = [layout.class_folders(parts)[0] for parts in paths]
    if layout.split_from == "outer folder":
        others = sorted(x for x, split in layout.splits.items() if split is None and not parse(x))
        if others:
            found.append(f"Not in any of the splits: {', '.join(others[:MOST_NAMES])}")
    if (layout.label_from, layout.level) != ("folder", "first"):
        return found
    inner: dict[str, set[str]] = {}
    for names in folders:
        if len(names) > 1:
            inner.setdefault(names[0], set()).add(names[1])
    common = set.intersection(*inner.values()) if len(inner) == len(plan.classes) > 1 else set()
    if len(common) > 1:
        found.append(
            f"Each class contains folders with the same names, such as "
            f"{', '.join(sorted(common)[:3])}. If these are the classes, pass level='last'"
        )
    nested = next((i for i, names in enumerate(folders) if len(names) > 1), None)
    if nested is not None:
        found.append(
            f"Deeper folders belong to the class of the first: {'/'.join(paths[nested])} is "
            f"{layout.read(paths[nested])[0]!r}. level='last' or level='joined' takes it otherwise"
        )
    return found


def _of_same(plan: Plan, same: list[list[str]]) -> list[str]:
    """Describe files that have several classes or splits because of links."""
    readings = {item.path: (item.label, item.split) for item in plan.items} if same else {}
    found = []
    for place, words in ((0, "under two classes"), (1, "in two splits")):
        groups = [[path for path in group if path in readings] for group in same]
        groups = [g for g in groups if len({readings[path][place] for path in g}) > 1]
        if groups:
            first = " and ".join(os.path.relpath(path, plan.root) for path in groups[0][:2])
            found.append(
                f"{counted(len(groups), 'file is', 'files are')} {words} through links, such as "
                f"{first}"
            )
    return found
