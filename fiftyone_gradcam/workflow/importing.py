"""Import a folder of labeled images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import fiftyone as fo

from ..dataset import importing
from ..dataset.import_record import INFO_KEY, Imported
from ..dataset.names import name_for
from ..folders.plan import Plan
from ..folders.planning import plan_import
from ..images.decode import DecodeOptions
from ..jobs.delegating import delegable
from ..progress import Progress, counted, report_left_out, reporting


@delegable
def import_folders(
    path: str,
    name: str | None = None,
    label_field: str = "ground_truth",
    label_from: str | None = None,
    split_from: str | None = None,
    level: str | None = None,
    pattern: str | None = None,
    table: str | Sequence[str] | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    class_names: str | None = None,
    skip: Sequence[str] = (),
    keep_masks: bool = False,
    keep_truncated: bool = False,
    max_pixels: int | None = None,
    overwrite: bool = False,
    progress: Progress = None,
    delegate: bool = False,
) -> fo.Dataset:
    """Import a folder of labeled images into a persistent dataset.

    Classes and splits are guessed from folder names, file names and tables, as `plan_import` shows,
    unless you specify them now or specified them when you imported the folder before. Splits become
    sample tags. Every file is decoded. Files that are not usable images are left out, counted by
    reason, printed, and listed in `dataset.info["import_folders"]`, whose "report" is the path of a
    file with the full list.

    Importing the same folder again adds only new files, rereads files whose size or time has
    changed, reports changed labels and missing or broken files, and continues an import that was
    canceled or killed. Files and folders that were moved or renamed are recognized by their
    content: their samples keep all their fields and get the new paths (see also `relocate`).

    Args:
        path: the folder to import
        name: name of the dataset; by default (None), the name of the folder, extended where
            FiftyOne needs it: the folder 图片 becomes "图片 images", and food-set becomes
            "food-set 2" if there is a dataset "Food Set"
        label_field: field to store the labels in
        label_from: where the class is given: "folder", "file name", "pattern", "table" or
            "nothing"; guessed by default (None). `plan_import` describes this argument and the
            following ones in more detail
        split_from: where the split is given: "outer folder", "inner folder" or "nothing"; guessed
            by default (None)
        level: which of several nested folders names the class: "first" (the default), "last" or
            "joined"
        pattern: a regular expression with a group named "label" and, optionally, a group named
            "split"
        table: path of a CSV file, or a list of them, with images, labels and, optionally, splits;
            by default (None), CSV files in the folder are used
        image_column, label_column, split_column: headers of these columns; by default (None), the
            usual headers are recognized
        class_names: path of a file that names the classes; by default (None), classes.txt or a
            similar file in the folder
        skip: patterns of file names, or of paths relative to the folder, to leave out, such as
            "*_old.*"
        keep_masks: also import masks as images (default: False)
        keep_truncated: also import truncated files, tagged "truncated"; the missing part is black,
            or gray in JPEG files (default: False)
        max_pixels: largest image to decode, as width x height, in all functions; by default (None),
            the value of an earlier import, or else Pillow's limit of 178,956,970
        overwrite: replace an existing dataset of this name
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        the dataset

    Raises:
        FileNotFoundError, NotADirectoryError: if the path does not exist or is not a folder
        ValueError: if the folder has no labeled images or only one class, if the name belongs to
            another dataset, or if an argument is invalid
        CancelledError: if `progress` raised it; the samples imported so far stay in the dataset
    """
    root = os.path.abspath(os.path.expanduser(path))
    name = name or name_for(root)
    options = DecodeOptions(keep_truncated, max_pixels)
    given = {
        "label_from": label_from,
        "split_from": split_from,
        "level": level,
        "pattern": pattern,
        "table": table,
        "image_column": image_column,
        "label_column": label_column,
        "split_column": split_column,
        "class_names": class_names,
        "skip": skip,
        "keep_masks": keep_masks,
    }
    with importing.importing(name):
        if not overwrite and not any(given.values()):
            given = importing.earlier_choices(name, root)
        plan = plan_import(path, **given)
        importing.check_target(name, plan.root, label_field, overwrite)
        plan.check()
        with reporting(progress, f"Reading {len(plan.items)} files") as report:
            result = importing.carry_out(
                plan,
                name,
                label_field,
                overwrite,
                lambda done, total: report(done, total, f"{done} of {total} files"),
                options,
            )
    _report(plan, result)
    return result.dataset


def _report(plan: Plan, result: Imported) -> None:
    """Print the result of an import."""
    dataset = result.dataset
    folder = os.path.basename(plan.root)
    of_folder = f" of the folder {folder!r}" if folder != dataset.name else ""
    print(
        f"Dataset {dataset.name!r}{of_folder}: {counted(len(result.ids), 'image')} added, "
        f"{len(dataset)} in "
        f"total, {counted(len(plan.classes), 'class', 'classes')}"
    )
    if any(item.split for item in plan.items):
        tags = dataset.count_sample_tags()
        parts = [f"{tag} {tags[tag]}" for tag in ("train", "val", "test") if tags.get(tag)]
        print(f"Split tags from the folders: {', '.join(parts)}")
    for warning in plan.warnings:
        print(f"Note: {warning}")
    for note, count in Counter(note for _, note in result.notes).most_common():
        print(f"Note: {count} {note}")
    if result.duplicates:
        count = sum(len(paths) for paths in result.duplicates)
        pair = " and ".join(result.duplicates[0][:2])
        print(f"Note: {counted(count, 'file is', 'files are')} identical, such as {pair}")
    if result.contradictions:
        pair = " and ".join(result.contradictions[0][:2])
        print(
            f"Note: {counted(len(result.contradictions), 'image is', 'images are')} in two "
            f"classes, such as {pair}"
        )
    if result.moved:
        old, path = result.moved[0]
        print(
            f"Note: the files of {counted(len(result.moved), 'sample')} were moved, such as "
            f"{old} to {path}: "
            f"the samples have the new paths"
        )
    if result.refreshed:
        print(
            f"Note: {counted(len(result.refreshed), 'file has', 'files have')} changed, such as "
            f"{result.refreshed[0]}: "
            f"their metadata was updated. Predictions and heatmaps are those of the old files"
        )
    if result.broken:
        path, reason = result.broken[0]
        print(
            f"Note: the files of {counted(len(result.broken), 'sample')} can no longer be used, "
            f"such as "
            f"{path} ({reason}); the samples are kept"
        )
    if result.changed:
        path, own, label = result.changed[0]
        print(
            f"Note: {counted(len(result.changed), 'image', 'images')} with another label in the "
            f"dataset than in the folder: "
            f"the dataset's is kept, such as {path}: {own!r}, in the folder {label!r}"
        )
    if result.removed:
        print(
            f"Note: the files of {counted(len(result.removed), 'sample')} do not exist, such as "
            f"{result.removed[0]}; the samples are kept. To delete them: dataset.delete_samples("
            f"dataset.select_by('filepath', dataset.info['{INFO_KEY}']['removed_files']))"
        )
    report_left_out("files", result.reasons(), [path for path, _ in result.skipped])
    if report := dataset.info[INFO_KEY]["report"]:
        print(f"The full list is in {report}")
