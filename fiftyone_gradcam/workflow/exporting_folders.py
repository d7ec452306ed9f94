"""Export samples as a tree of labeled folders, for example after labels were corrected."""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Iterable

import fiftyone as fo

from ..dataset import fields, splits
from ..dataset.apart import check_apart
from ..dataset.reviews import without_left_out
from ..dataset.writing import exporting
from ..disk import whole_file
from ..folders import path_names as names
from ..folders.layout import UNLABELLED
from ..folders.split_names import SPLITS
from ..images.opening import NOT_FOUND, ImageError, none_readable
from ..jobs.delegating import delegable
from ..progress import Progress, counted, reporting, some

HOW = ("copy", "link", "list")
LIST = "moves.csv"


@delegable
def export_folders(
    samples: fo.core.collections.SampleCollection,
    folder: str,
    label_field: str = "ground_truth",
    how: str = "copy",
    split_folders: bool | None = None,
    include_excluded: bool = False,
    overwrite: bool = False,
    progress: Progress = None,
    delegate: bool = False,
) -> str:
    """Write samples into a folder for each class, as `import_folders` reads it.

    Files keep their names; if two files of the same name are in one folder, the second gets a
    number. Images without a label are written to `_unlabeled`. The image files of the dataset are
    not moved.

    Args:
        samples: a dataset or view
        folder: the folder to write to; it is created if it does not exist
        label_field: field with the labels of the samples
        how: "copy" the files; "link" to them (symbolic links, which use no disk space); or only
            write a "list": `moves.csv` with the columns from, to, label and split, for use in a
            script
        split_folders: write train, val and test folders around the class folders; by default
            (None), if any sample has such a tag
        include_excluded: also write samples that were excluded or marked unclear in a review
        overwrite: also write into a folder that is not empty, and replace files of the same names
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        the path of the folder

    Raises:
        ValueError: if there are no samples, the folder holds images of the dataset, a name is too
            long, or an argument is invalid
        FileExistsError, NotADirectoryError: if the folder is not empty, or is a file
        FileNotFoundError: if the file of a sample does not exist; nothing is written
        CancelledError: if `progress` raised it; files written so far are kept
    """
    if how not in HOW:
        raise ValueError(f"how must be one of {', '.join(map(repr, HOW))}, not {how!r}")
    dataset = fields.root_dataset(samples)
    samples = without_left_out(samples, include_excluded)
    _, paths, labels = fields.labels_of(samples, label_field)
    if not paths:
        raise ValueError(f"There are no samples of {dataset.name!r} to export")
    missing = [path for path in paths if not os.path.exists(path)]
    if len(missing) == len(paths):
        raise FileNotFoundError(none_readable(len(missing), ImageError(missing[0], NOT_FOUND)))
    if missing:
        raise FileNotFoundError(
            f"The files of {counted(len(missing), 'sample')} do not exist, such as {missing[0]}. "
            f"Leave these samples out"
        )
    if how != "list":
        check_apart(dataset, folder)
    own = _splits_of(samples, split_folders)
    _check_lengths({*labels, *own})
    targets, folders = _targets(paths, labels, own)
    inner = {os.path.dirname(target) for target in targets} if how != "list" else ()
    with exporting(folder, overwrite, inner) as home:
        if how == "list":
            _write_list(home, paths, targets, labels, own)
            return home
        with reporting(progress, f"Writing {len(paths)} images to {home}") as report:
            for number, (path, target) in enumerate(zip(paths, targets, strict=True), start=1):
                _write(path, names.inside(home, target), how)
                report(number, len(paths), f"{number} of {len(paths)}")
    print(f"Wrote to {home}: {written_words(_counts(labels, own))}")
    renamed = [f"{name!r} as {to!r}" for name, to in sorted(folders.items()) if name != to]
    if renamed:
        print(f"Note: names that some file systems do not allow were changed: {some(renamed)}")
    return home


def folder_counts(
    samples: fo.core.collections.SampleCollection,
    label_field: str,
    split_folders: bool | None = None,
    include_excluded: bool = False,
) -> dict[str, int]:
    """Return the number of images in each folder that `export_folders` would write.

    Args:
        samples, label_field, split_folders, include_excluded: see `export_folders`

    Returns:
        the number by folder, such as "train/ants"; those of train, val and test come first
    """
    samples = without_left_out(samples, include_excluded, verbose=False)
    return _counts(fields.labels_of(samples, label_field)[2], _splits_of(samples, split_folders))


def written_words(counts: dict[str, int], total: int = 0) -> str:
    """Describe folders with images, such as "220 images in train/ants, train/bees, val/ants".

    Args:
        counts: see `folder_counts`
        total: the number of images in the dataset, which is named if it is larger
    """
    count = sum(counts.values())
    part = f"{count} of " if count < total else ""
    return f"{part}{counted(max(count, total), 'image')} in {some(list(counts))}"


def _splits_of(
    samples: fo.core.collections.SampleCollection, split_folders: bool | None
) -> list[str | None]:
    """Return the split of each sample; None for all if there are to be no folders of splits."""
    known = splits.split_tags(fields.root_dataset(samples))
    own = [next((tag for tag in tags if tag in known), None) for tags in samples.values("tags")]
    return [None] * len(own) if split_folders is False else own


def _counts(labels: list[str | None], own: list[str | None]) -> dict[str, int]:
    homes, _ = _homes(zip(labels, own, strict=True))
    first = [*dict.fromkeys(SPLITS.values()), None]
    found = Counter(zip(labels, own, strict=True))
    order = sorted(
        homes, key=lambda x: (first.index(x[1]) if x[1] in first else len(first), homes[x])
    )
    counts: Counter[str] = Counter()
    for pair in order:  # labels such as "cat" and "cat/" have one folder
        counts[homes[pair].replace(os.sep, "/")] += found[pair]
    return dict(counts)


def _check_lengths(own: set[str | None]) -> None:
    """Raise an error if a name is too long for a file system, before anything is written."""
    for name in filter(None, own):
        for part in name.split("/"):
            if len(os.fsencode(part)) > names.MOST_BYTES:
                raise ValueError(
                    f"{part[:40] + '…'!r} is too long for the name of a file or a folder, which "
                    f"can have at most {names.MOST_BYTES} bytes. Rename it"
                )


def _targets(
    paths: list[str], labels: list[str | None], own: list[str | None]
) -> tuple[list[str], dict[str, str]]:
    """Choose a unique path below the folder for each file.

    Returns:
        the path of each file, and the folder of each class
    """
    homes, folders = _homes(zip(labels, own, strict=True))
    found, taken = [], {}
    for path, label, split in zip(paths, labels, own, strict=True):
        name = names.safe_name(*names.split_suffix(os.path.basename(path)))
        home = homes[label, split]
        name = names.unique_name(name, taken.setdefault(names.same(home), set()))
        found.append(os.path.join(home, name))
    return found, folders


def _homes(
    pairs: Iterable[tuple[str | None, str | None]],
) -> tuple[dict[tuple[str | None, str | None], str], dict[str, str]]:
    """Choose a folder for each pair of a label and a split.

    Returns:
        the folder of each pair, and the folder of each class without that of the split
    """
    splits_as, classes_as = _Folders(), _Folders()
    classes_as.of((None,))  # reserves the name of its folder
    homes: dict[tuple[str | None, str | None], str] = {}
    folders: dict[str, str] = {}
    for label, split in dict.fromkeys(pairs):
        parts = splits_as.of((split,)) if split else []
        if label is None:
            parts += classes_as.of((None,))
        else:
            inner = classes_as.of(tuple(filter(str.strip, label.split("/"))) or ("",))
            folders[label] = "/".join(inner)
            parts += inner
        homes[label, split] = os.path.join(*parts)
    return homes, folders


class _Folders:
    """Unique folder names: if a file system cannot distinguish two names, the second gets a
    number."""

    def __init__(self):
        self.known: dict[tuple, str] = {}
        self.taken: dict[tuple, set[str]] = {}

    def of(self, parts: tuple[str | None, ...]) -> list[str]:
        """Return the nested folders for names; None stands for unlabeled samples."""
        found = []
        for depth in range(1, len(parts) + 1):
            *above, name = own = parts[:depth]
            if own not in self.known:
                taken = self.taken.setdefault(tuple(above), set())
                safe = UNLABELLED[0] if name is None else names.safe_name(name)
                self.known[own] = names.unique_name(safe, taken)
            found.append(self.known[own])
        return found


def _write(path: str, target: str, how: str) -> None:
    """Copy or link a file, completely or not at all."""
    with whole_file(target) as part:
        if how == "link":
            os.symlink(os.path.realpath(path), part)
        else:
            shutil.copy2(path, part)


def _write_list(
    folder: str,
    paths: list[str],
    targets: list[str],
    labels: list[str | None],
    own: list[str | None],
) -> None:
    path = os.path.join(folder, LIST)
    with whole_file(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("from", "to", "label", "split"))
        rows.writerows(
            (path, os.path.join(folder, target), label, split)
            for path, target, label, split in zip(paths, targets, labels, own, strict=True)
        )
    print(f"Wrote {path}: where {counted(len(paths), 'image')} would go")
