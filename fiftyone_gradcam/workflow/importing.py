"""Import and split."""

from __future__ import annotations

import os

import fiftyone as fo

from ..dataset import folders, splits
from ..model.known_recipes import find_recipe
from .delegating import delegable
from .progress import Progress, reporting, some, tell_left_out


@delegable
def import_folders(
    path: str,
    name: str | None = None,
    label_field: str = "ground_truth",
    label_from: str = "folder",
    overwrite: bool = False,
    progress: Progress = None,
    delegate: bool = False,
) -> fo.Dataset:
    """Make a persistent dataset of a folder that holds one folder of images for each class.

    Below train/val/test folders (in any of their usual names) the next level is the class, and
    the split becomes a sample tag. Every file is decoded; those that are no usable images are
    left out, counted by reason, printed, and listed in `dataset.info["import_folders"]`.
    Importing the same folder again adds only what is new.

    Args:
        path: the folder
        name: of the dataset; None takes the folder's name
        label_field: field for the classes
        label_from: where the class stands; "folder" is the one way there is
        overwrite: replace a dataset of this name
        progress: a bar (True), none (False), FiftyOne's setting (None), or a function that is
            called with (done, total, message)
        delegate: do the work in another process, as a job that outlives this one; a `Job` is
            returned at once, whose `wait()` waits for its end

    Raises:
        FileNotFoundError, NotADirectoryError: if the path is no folder
        ValueError: if it holds no images in class folders or a single class, if the name is
            taken by another dataset, or if an argument is not understood
    """
    if label_from != "folder":
        raise ValueError(f"label_from must be 'folder', not {label_from!r}")
    found = folders.scan(path)
    name = name or os.path.basename(found.root) or "images"
    folders.check_target(name, found.root, label_field, overwrite)
    folders.check(found)
    if not label_field.isidentifier() or label_field.startswith("_"):
        raise ValueError(f"{label_field!r} is no name for a field. Use letters, digits and _")
    if not overwrite:
        found.known = folders.known_files(name)
    with reporting(progress, f"Reading {len(found.files)} files") as report:
        metadata = folders.prove(
            found, lambda done, total: report(done, total, f"{done} of {total} files")
        )
    folders.check(found)
    dataset, added = folders.write(found, metadata, name, label_field, overwrite, progress=False)
    print(
        f"Dataset {name!r}: {added} images added, {len(dataset)} in all, "
        f"{len(found.classes)} classes"
    )
    if dataset.info[folders.INFO_KEY]["has_splits"]:
        tags = dataset.count_sample_tags()
        parts = [f"{tag} {tags[tag]}" for tag in ("train", "val", "test") if tags.get(tag)]
        print(f"Tagged by their folders: {', '.join(parts)}")
    tell_left_out("files", found.reasons(), [file for file, _ in found.skipped])
    return dataset


def split(
    samples: fo.core.collections.SampleCollection,
    fractions: dict[str, float] | str = "default",
    label_field: str = "ground_truth",
    seed: int = 0,
) -> dict[str, dict[str, int]]:
    """Tag samples as train, val and test, each class in the same proportions.

    A sample has one of the tags or none; a second split replaces the first. Unlabelled samples
    get no tag. Every split gets at least one sample of each class that has enough of them.

    Args:
        samples: a dataset or view
        fractions: share of each split, such as {"train": .6, "val": .2, "test": .2}; what is
            missing to 1 gets no tag; or the name of a recipe, whose split is taken
        label_field: field of the classes
        seed: of the shuffle

    Returns:
        number of samples by split and class

    Raises:
        ValueError: if the fractions are no shares of a whole, or nothing is labelled
    """
    if isinstance(fractions, str):
        fractions = find_recipe(fractions).fractions
    counts = splits.write_split(samples, fractions, label_field, seed)
    for name, classes in counts.items():
        print(f"{name}: {sum(classes.values())} images")
        absent = sorted(set().union(*counts.values()) - set(classes))
        if absent:
            print(f"  none of {some(absent)}: too few images of the class")
    if "train" not in counts:
        print("No split is called 'train', the tag that fine_tune trains on")
    return counts
