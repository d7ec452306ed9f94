"""Preview what an import would make of a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..arguments import checked
from ..progress import counted
from . import labelling
from .cells import Images
from .class_names import names_of
from .columns import Named
from .files import Found, find_files
from .guessing import guess, with_choices
from .layout import Layout
from .masks import find_masks
from .plan import Item, Plan
from .remarks import remarks
from .walking import check_interrupted


@checked
def plan_import(
    path: str,
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
) -> Plan:
    """Show what `import_folders` would make of a folder, without importing it.

    No image is decoded, except some files that may be masks. Masks are left out: files with the
    name of an image and another extension (`1.jpg`, `1.png`), with an ending such as `_mask`, or in
    a folder named masks, ground_truth or similar, which also look like masks.

    Args:
        path: the folder to import
        label_from: where the class is given: "folder", "file name" (the part before the number in
            `apple_12.jpg`), "pattern", "table" or "nothing"; guessed by default (None)
        split_from: where the split is given: "outer folder" (`train/cat/1.jpg`), "inner folder"
            (`cat/train/1.jpg`) or "nothing"; guessed by default (None). Split folders may be named
            train, val, valid, validation, dev, eval, test or holdout, in upper or lower case,
            combined with words such as set or images and with numbers: training_set, "Train Data",
            val2017, seg_test next to seg_train
        level: which of several nested folders names the class: "first" (the default), "last" or
            "joined"
        pattern: a regular expression with a group named "label" and, optionally, a group named
            "split"; it is searched in the path relative to the folder, for at most one second
        table: path of a CSV file, or a list of them, with columns for images and labels (or one
            column of 0 and 1 for each class) and, optionally, splits; by default (None), CSV files
            in the folder are used
        image_column, label_column, split_column: headers of these columns; by default (None), the
            usual headers are recognized, such as "filename", "class" and "subset"
        class_names: path of a file that names the classes: lines such as `1 = Makino`, or a JSON
            object that maps folder names to class names; by default (None), classes.txt or a
            similar file in the folder, if it names all classes
        skip: patterns of file names, or of paths relative to the folder, to leave out, such as
            "*_old.*"
        keep_masks: also import masks as images (default: False)

    Returns:
        the `Plan`, with `items` (path, label, split), `skipped`, `passed_over`, `warnings`,
        `counts()` and `examples()`; print it for a summary

    Raises:
        FileNotFoundError, NotADirectoryError: if the path is not a folder, or another file does not
            exist
        ValueError: if an argument, the table or the file of class names is invalid
    """
    root = os.path.abspath(os.path.expanduser(path))
    if not os.path.exists(root):
        raise FileNotFoundError(f"No folder at {root!r}")
    if not os.path.isdir(root):
        raise NotADirectoryError(f"{root!r} is a file. Pass the folder with the class folders")
    skip = [skip] if isinstance(skip, str) else skip
    if not isinstance(skip, list | tuple) or not all(isinstance(one, str) for one in skip):
        raise ValueError(f"skip must be a list of patterns, such as '*_old.*', not {skip!r:.80}")
    given = [table] if isinstance(table, str) else list(table or ())
    given, class_names = [_given(x, root) for x in given], _given(class_names, root)
    named = Named(image_column, label_column, split_column)
    choices = {
        "label_from": label_from,
        "split_from": split_from,
        "level": level,
        "pattern": pattern,
        "table": given[0] if len(given) == 1 else given or None,
        "image_column": image_column,
        "label_column": label_column,
        "split_column": split_column,
        "class_names": class_names,
        "skip": skip or None,
        "keep_masks": keep_masks or None,
    }
    found = find_files(root, tuple(skip))
    check_interrupted()
    plan = Plan(root, Layout(), skipped=found.skipped, passed_over=found.passed_over)
    plan.archives, plan.stopped = found.archives, found.stopped
    plan.warnings = [*found.notes, *([found.stopped] if found.stopped else [])]
    if not keep_masks:
        _leave_out_masks(plan, found)
    files = found.files
    paths = [os.path.relpath(file, root).split(os.sep) for file in files]
    check_interrupted()
    guessed = guess(paths)
    check_interrupted()
    must = label_from == "table" or bool(given) or named.any
    from_table = labelling.Labelling()
    if must or (label_from is None and pattern is None):
        classes = [label for label, _ in guessed.read_all(paths)]
        guesses = dict(zip(files, classes, strict=True))
        are_folders = guessed.label_from == "folder"
        from_table = labelling.labels_of_folder(
            Images(root, files), guesses, are_folders, given, named, must
        )
    plan.tables, plan.unused = from_table.tables, from_table.unused
    plan.skipped += from_table.left_out
    plan.warnings += from_table.notes
    label_from = "table" if plan.tables and not from_table.only_fills else label_from
    plan.layout = with_choices(
        guessed, paths, label_from=label_from, split_from=split_from, level=level, pattern=pattern
    )
    readings = plan.layout.read_all(paths)
    if plan.tables:
        from_rows = [from_table.found.get(file, (None, None)) for file in files]
        readings = [
            ((own if from_table.only_fills else None) or label, said or split)
            for (label, said), (own, split) in zip(from_rows, readings, strict=True)
        ]
    plan.names = names_of(root, class_names, {label for label, _ in readings} - {None})
    plan.items = [
        Item(file, plan.names.get(label, label) if label is not None else None, split, size)
        for file, size, (label, split) in zip(files, found.sizes, readings, strict=True)
    ]
    plan.warnings += remarks(plan, paths, readings, found.same)
    plan.choices = {name: value for name, value in choices.items() if value is not None}
    return plan


def _given(path: str | None, root: str) -> str | None:
    """Find a file that the user named, in the current folder or in the imported folder."""
    if path is None:
        return None
    path = os.path.expanduser(path)
    for found in (os.path.abspath(path), os.path.join(root, path)):
        if os.path.isfile(found):
            return found
    raise FileNotFoundError(f"There is no file {path!r} here or in {root!r}. Pass its path")


def _leave_out_masks(plan: Plan, found: Found) -> None:
    """Remove masks from the files."""
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
        f"{counted(len(masks.images), 'mask')} of images left out, such as "
        f"{os.path.relpath(mask, plan.root)}{of_image}. To import them too, pass keep_masks=True"
    )
