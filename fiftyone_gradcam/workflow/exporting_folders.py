"""The way back: a tree of labelled folders, after labels were corrected."""

from __future__ import annotations

import csv
import os
import re
import shutil
import uuid

import fiftyone as fo

from ..dataset import fields, splits
from ..dataset.files import ready_folder
from ..folders.layout import UNLABELLED
from ..images.opening import NOT_FOUND, ImageError, none_readable
from .delegating import delegable
from .progress import Progress, reporting, some

HOW = ("copy", "link", "list")
LIST = "moves.csv"
MOST_BYTES = 255  # of a name, on common file systems


@delegable
def export_folders(
    samples: fo.core.collections.SampleCollection,
    folder: str,
    label_field: str = "ground_truth",
    how: str = "copy",
    split_folders: bool | None = None,
    overwrite: bool = False,
    progress: Progress = None,
    delegate: bool = False,
) -> str:
    """Write samples into a folder for each class, as `import_folders` reads it.

    Files keep their names; of two of the same name in one folder, the second gets a number. Images
    without a label go to `_unlabeled`. The images of the dataset stay where they are.

    Args:
        samples: a dataset or view
        folder: where to; made if need be
        label_field: the classes
        how: "copy" the files, "link" to them (symbolic links, which take no room), or write a
            "list" alone: `moves.csv` with the columns from, to, label and split, for a script
        split_folders: whether train, val and test folders stand around the classes; None: if any
            sample has such a tag
        overwrite: also write into a folder that is not empty, and replace files of these names
        progress, delegate: see `import_folders`

    Returns:
        path of the folder

    Raises:
        ValueError: if there is nothing to write, a name is too long, or an argument is not
            understood
        FileExistsError, NotADirectoryError: if the folder is not empty, or a file
        FileNotFoundError: if the file of a sample is gone; nothing is written then
        CancelledError: if `progress` raised it; what was written so far stays
    """
    if how not in HOW:
        raise ValueError(f"how must be one of {', '.join(map(repr, HOW))}, not {how!r}")
    dataset = fields.root_dataset(samples)
    _, paths, labels = fields.labels_of(samples, label_field)
    if not paths:
        raise ValueError(f"There are no samples of {dataset.name!r} to write")
    gone = [path for path in paths if not os.path.exists(path)]
    if len(gone) == len(paths):
        raise FileNotFoundError(none_readable(len(gone), ImageError(gone[0], NOT_FOUND)))
    if gone:
        raise FileNotFoundError(
            f"The files of {len(gone)} samples are gone, such as {gone[0]}. Leave these samples out"
        )
    known = splits.split_tags(dataset)
    own = [next((tag for tag in tags if tag in known), None) for tags in samples.values("tags")]
    if split_folders is None:
        split_folders = any(own)
    own = own if split_folders else [None] * len(own)
    targets = _targets(paths, labels, own)
    _check_names(targets)
    folder = ready_folder(folder, overwrite)
    if how == "list":
        _write_list(folder, paths, targets, labels, own)
        return folder
    with reporting(progress, f"Writing {len(paths)} images to {folder}") as report:
        for number, (path, target) in enumerate(zip(paths, targets, strict=True), start=1):
            _write(path, os.path.join(folder, target), how)
            report(number, len(paths), f"{number} of {len(paths)}")
    names = set(labels) - {None}
    print(f"Wrote {len(paths)} images to {folder}, in folders of {len(names)} classes")
    renamed = {name: "/".join(_folders(name)) for name in sorted(names)}
    if renamed := [f"{name!r} as {to!r}" for name, to in renamed.items() if name != to]:
        print(f"Note: names that not every file system takes are changed: {some(renamed)}")
    return folder


def _check_names(targets: list[str]) -> None:
    """Refuse names that are too long for a file system, before anything is written."""
    for target in targets:
        for part in target.split(os.sep):
            if len(os.fsencode(part)) > MOST_BYTES:
                raise ValueError(
                    f"{part[:40] + '…'!r} is too long for the name of a file or a folder, which "
                    f"may have {MOST_BYTES} bytes. Rename it"
                )


def _targets(paths: list[str], labels: list[str | None], own: list[str | None]) -> list[str]:
    """Where each file goes, below the folder: no two to the same place."""
    found, taken = [], set()
    for path, label, split in zip(paths, labels, own, strict=True):
        parts = [split] if split else []
        parts += [UNLABELLED[0]] if label is None else _folders(label)
        stem, extension = os.path.splitext(os.path.basename(path))
        target, number = os.path.join(*parts, stem + extension), 1
        while target.casefold() in taken:  # some file systems do not tell a from A
            number += 1
            target = os.path.join(*parts, f"{stem}_{number}{extension}")
        taken.add(target.casefold())
        found.append(target)
    return found


def _folders(label: str) -> list[str]:
    """A class as names of folders: "cat/siamese" are two, one in the other."""
    # What no file system takes, and names that would lead out of the folder or be hidden.
    parts = [re.sub(r'[\x00-\x1f<>:"\\|?*]', "_", part).strip() for part in label.split("/")]
    parts = [f"_{part[1:]}" if part.startswith(".") else part for part in parts]
    return [part for part in parts if part] or ["_"]


def _write(path: str, target: str, how: str) -> None:
    """Copy or link a file; it is whole, or it is not there."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    part = os.path.join(os.path.dirname(target), f".{uuid.uuid4().hex}.part")
    try:
        if how == "link":
            os.symlink(os.path.realpath(path), part)
        else:
            shutil.copy2(path, part)
        os.replace(part, target)
    except BaseException:
        if os.path.lexists(part):
            os.unlink(part)
        raise


def _write_list(
    folder: str,
    paths: list[str],
    targets: list[str],
    labels: list[str | None],
    own: list[str | None],
) -> None:
    path = os.path.join(folder, LIST)
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("from", "to", "label", "split"))
        rows.writerows(
            (path, os.path.join(folder, target), label or "", split or "")
            for path, target, label, split in zip(paths, targets, labels, own, strict=True)
        )
    print(f"Wrote {path}: where {len(paths)} images would go")
