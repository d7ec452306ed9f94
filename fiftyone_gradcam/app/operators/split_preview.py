"""A preview of a split: the number of images in each part and class."""

from __future__ import annotations

from collections import Counter

from fiftyone.operators import types

from ...dataset.fields import labels_of, root_dataset
from ...dataset.reviews import left_out
from ...dataset.runs import list_runs
from ...dataset.splits import split_tags
from ...folders.assignment import EQUAL, NEAR, assign
from ...folders.split_names import SPLITS
from ...progress import counted
from ..texts import markdown
from .forms import notice, refuse

MOST_CLASSES = 6  # maximum number of rows in the table
MOST_PARTS = 6  # maximum number of columns
MOST_RUNS = 3  # maximum number that a note names


def preview(inputs: types.Object, given: dict) -> None:
    """Show how many images each part will get.

    Args:
        inputs: the form
        given: the arguments of `split`, by name
    """
    samples, groups = given["samples"], given["groups"]
    parts, unlabeled, excluded = parts_of(given)
    total = Counter({name: sum(own.values()) for name, own in parts.items()})
    if not total.total():
        refuse(inputs, "no_labels", f"No sample here has a label in {given['label_field']!r}")
        return
    lines = [", ".join(f"**{count} {markdown(name)}**" for name, count in total.items())]
    notes = []
    if groups in (EQUAL, NEAR):
        notes.append("The numbers may change a little, since what is alike stays together")
    if unlabeled:
        notes.append(f"{counted(unlabeled, 'image')} without a label: no tag")
    if excluded:
        notes.append(f"{counted(excluded, 'image')} that reviews left out: no tag")
    dataset = root_dataset(samples)
    tags, known = samples.count_sample_tags(), split_tags(dataset)
    if old := {name: count for name, count in tags.items() if name in known}:
        first = [*SPLITS.values()]
        order = sorted(old, key=lambda x: (first.index(x) if x in first else len(first), x))
        words = ", ".join(f"{old[name]} {name}" for name in order)
        notes.append(f"This replaces the split that is there ({words})")
        if runs := list_runs(dataset):
            named = ", ".join(map(repr, runs[-MOST_RUNS:]))
            notes.append(
                f"{named} may have learned from images that will be in 'test': train again before "
                f"you compare accuracies"
            )
    classes = sorted({name for own in parts.values() for name in own})
    if len(classes) <= MOST_CLASSES and len(parts) <= MOST_PARTS:
        lines += ["", "| class | " + " | ".join(map(markdown, parts)) + " |"]
        lines.append("| --- |" + " --- |" * len(parts))
        for name in classes:
            cells = " | ".join(str(own.get(name, 0)) for own in parts.values())
            lines.append(f"| {markdown(name)} | {cells} |")
    inputs.md("\n".join(lines), name="preview")
    if notes:
        notice(inputs, "notes", ". ".join(notes))


def parts_of(given: dict) -> tuple[dict[str, dict[str, int]], int, int]:
    """Count the images that a split would put into each part.

    Args:
        given: the arguments of `split`, by name

    Returns:
        the number of images by part and class, the number without a label, and the number left out
        by reviews
    """
    samples, groups = given["samples"], given["groups"]
    ids, _, labels = labels_of(samples, given["label_field"])
    unlabeled = sum(label is None for label in labels)
    out: set[str] = set()
    if not given.get("include_excluded"):
        out = {i for own in left_out(samples).values() for i in own}
        labels = [None if i in out else label for i, label in zip(ids, labels, strict=True)]
    folds = given.get("folds")
    fractions = given.get("fractions") or {f"fold_{n}": 1 / folds for n in range(1, folds + 1)}
    is_field = groups in samples.get_field_schema()  # otherwise groups are found from the images
    together = samples.values(groups) if is_field else None
    found = assign(labels, fractions, given["seed"], together, bool(folds))
    parts: dict[str, dict[str, int]] = {name: {} for name in fractions}
    for label, name in zip(labels, found, strict=True):
        if name:
            parts[name][label] = parts[name].get(label, 0) + 1
    return parts, unlabeled, len(out)
