"""Import and split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import fiftyone as fo

from ..dataset import importing, splits
from ..folders.plan import Plan, plan_import
from ..model.known_recipes import find_recipe
from .delegating import delegable
from .leaks import equal_files
from .progress import Progress, reporting, some, tell_left_out


@delegable
def import_folders(
    path: str,
    name: str | None = None,
    label_field: str = "ground_truth",
    label_from: str | None = None,
    split_from: str | None = None,
    level: str | None = None,
    pattern: str | None = None,
    table: str | None = None,
    class_names: str | None = None,
    skip: Sequence[str] = (),
    overwrite: bool = False,
    progress: Progress = None,
    delegate: bool = False,
) -> fo.Dataset:
    """Make a persistent dataset of a folder of labelled images.

    Where classes and splits stand is guessed, as `plan_import` tells beforehand, unless it is
    said. Splits become sample tags. Every file is decoded; those that are no usable images are
    left out, counted by reason, printed, and listed in `dataset.info["import_folders"]`, whose
    "report" names a file with all of them. Importing the same folder again adds only what is new,
    tells of labels that have changed and files that are gone, and goes on with an import that was
    cancelled or killed.

    Args:
        path: the folder
        name: of the dataset; None takes the folder's name
        label_field: field for the classes
        label_from, split_from, level, pattern, table, class_names, skip: see `plan_import`
        overwrite: replace a dataset of this name
        progress: a bar (True), none (False), FiftyOne's setting (None), or a function that is
            called with (done, total, message)
        delegate: do the work in another process, as a job that outlives this one; a `Job` is
            returned at once, whose `wait()` waits for its end

    Raises:
        FileNotFoundError, NotADirectoryError: if the path is no folder
        ValueError: if it holds no images with labels or a single class, if the name is taken by
            another dataset, or if an argument is not understood
        CancelledError: if `progress` raised it; what was imported so far stays
    """
    plan = plan_import(path, label_from, split_from, level, pattern, table, class_names, skip)
    name = name or os.path.basename(plan.root) or "images"
    importing.check_target(name, plan.root, label_field, overwrite)
    plan.check()
    with reporting(progress, f"Reading {len(plan.items)} files") as report:
        result = importing.carry_out(
            plan,
            name,
            label_field,
            overwrite,
            lambda done, total: report(done, total, f"{done} of {total} files"),
        )
    _tell(plan, result)
    return result.dataset


def _tell(plan: Plan, result: importing.Imported) -> None:
    """Print what came of an import."""
    dataset = result.dataset
    print(
        f"Dataset {dataset.name!r}: {len(result.ids)} images added, {len(dataset)} in all, "
        f"{len(plan.classes)} classes"
    )
    if any(item.split for item in plan.items):
        tags = dataset.count_sample_tags()
        parts = [f"{tag} {tags[tag]}" for tag in ("train", "val", "test") if tags.get(tag)]
        print(f"Tagged by their folders: {', '.join(parts)}")
    for warning in plan.warnings:
        print(f"Note: {warning}")
    for note, count in Counter(note for _, note in result.notes).most_common():
        print(f"Note: {count} {note}")
    if result.duplicates:
        count = sum(len(paths) for paths in result.duplicates)
        pair = " and ".join(result.duplicates[0][:2])
        print(f"Note: {count} files are equal to another, such as {pair}")
    if result.changed:
        path, own, label = result.changed[0]
        print(
            f"Note: {len(result.changed)} images have another label here than in their folders, "
            f"and keep it, such as {path}: {own!r}, in the folder {label!r}"
        )
    if result.removed:
        print(
            f"Note: the files of {len(result.removed)} samples are gone, such as "
            f"{result.removed[0]}; the samples stay"
        )
    tell_left_out("files", result.reasons(), [path for path, _ in result.skipped])


def split(
    samples: fo.core.collections.SampleCollection,
    fractions: dict[str, float] | str = "default",
    label_field: str = "ground_truth",
    seed: int = 0,
    groups: str | None = None,
    folds: int | None = None,
) -> dict[str, dict[str, int]]:
    """Tag samples as train, val and test, each class in the same proportions.

    A sample has one of the tags or none; a second split replaces the first. Unlabelled samples
    get no tag. Every split gets at least one sample of each class that has enough of them.

    Args:
        samples: a dataset or view
        fractions: share of each split, such as {"train": .6, "val": .2, "test": .2}; what is
            missing to 1 gets no tag; or numbers of images of each class, such as {"train": 100,
            "val": 20}; or the name of a recipe, whose split is taken
        label_field: field of the classes
        seed: of the shuffle
        groups: what must not be parted: "duplicates" (equal files), or a field of the samples, such
            as that of the video they are from
        folds: tag so many folds of equal size instead, "fold_1" and so on

    Returns:
        number of samples by split and class

    Raises:
        ValueError: if the fractions are no shares of a whole, nothing is labelled, or there is no
            such field
    """
    if folds is not None:
        if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
            raise ValueError(f"folds must be a whole number of at least 2, not {folds!r}")
        fractions = {f"fold_{number}": 1 / folds for number in range(1, folds + 1)}
    if isinstance(fractions, str):
        fractions = find_recipe(fractions).fractions
    together = _groups(samples, groups) if groups is not None else None
    counts = splits.write_split(samples, fractions, label_field, seed, together)
    for name, classes in counts.items():
        print(f"{name}: {sum(classes.values())} images")
        absent = sorted(set().union(*counts.values()) - set(classes))
        if absent:
            print(f"  none of {some(absent)}: too few images of the class")
    if "train" not in counts and folds is None:
        print("No split is called 'train', the tag that fine_tune trains on")
    return counts


def _groups(samples: fo.core.collections.SampleCollection, groups: str) -> list:
    """What samples that must not be parted have in common."""
    if groups == "duplicates":
        return equal_files(samples.values("filepath"))
    if samples.get_field(groups) is None:
        raise ValueError(
            f"{groups!r} is no field of {samples._root_dataset.name!r}. groups may be "
            f"'duplicates', or one of {some(sorted(samples.get_field_schema()))}"
        )
    found = samples.values(groups)
    unfit = [x for x in found if x is not None and not isinstance(x, str | int | float)]
    if unfit:
        raise ValueError(
            f"Field {groups!r} cannot part samples: it holds {type(unfit[0]).__name__}s. Name one "
            f"that holds a text or a number, such as {groups}.label"
        )
    return found
