"""Execute the plan of an import: add new images to the dataset in batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import fiftyone as fo
from pymongo.errors import PyMongoError

from ..folders.moved import moved_path
from ..folders.plan import Plan
from ..images.decode import DEFAULT, DecodeOptions
from ..locks import locked
from ..progress import CancelledError, counted
from .adding import OnStep, add
from .durable import RestartedError, durable
from .import_record import IMPORTED_LABEL, INFO_KEY, Imported, decode_options, record
from .known_files import restore_files, write_files
from .label_schema import activate_labels, keep_imported_labels
from .names import check_name
from .replacing import MARK, clear_up, delete_with_files, successor_of, take_place
from .shown import prepare_colors
from .writing import import_lock, lock_of, patience

FILES = ("table", "class_names")  # arguments of `plan_import` that are paths


@contextmanager
def importing(name: str) -> Iterator[None]:
    """Hold the lock for imports into a dataset, and that of the dataset itself if it exists."""
    label = f"Dataset {name!r}"
    with ExitStack() as stack:
        stack.enter_context(locked(import_lock(name), label, patience()))
        clear_up(name)
        if fo.dataset_exists(name):
            dataset = fo.load_dataset(name)
            if stack.enter_context(locked(lock_of(dataset), label, patience())):
                dataset.reload()
        yield


def check_target(name: str, root: str, label_field: str, overwrite: bool) -> None:
    """Check that a folder can be imported into a dataset of this name.

    Raises:
        ValueError: if a name is invalid, or if the dataset was not imported from this folder with
            the same label field; the message says what to do
    """
    if not label_field.isidentifier() or label_field.startswith("_"):
        raise ValueError(f"{label_field!r} is not a valid field name. Use letters, digits and _")
    if label_field in ("metadata", IMPORTED_LABEL) or hasattr(fo.Sample("any"), label_field):
        raise ValueError(f"{label_field!r} is a field that each sample has. Choose another name")
    check_name(name)
    if overwrite or not fo.dataset_exists(name):
        return
    dataset = fo.load_dataset(name)
    source = dataset.info.get(INFO_KEY, {})
    if not (source or dataset):  # empty, left by an import that was killed at its start
        return
    if source.get("path") != root and not is_moved(source):
        origin = f"imported from {source['path']!r}" if source else "not made by import_folders"
        raise ValueError(
            f"Dataset {name!r} exists already, and is {origin}. Pass another name, or "
            f"overwrite=True to replace it"
        )
    if source.get("label_field") != label_field:
        raise ValueError(
            f"Dataset {name!r} keeps the folders' classes in {source['label_field']!r}, not in "
            f"{label_field!r}. Pass the same label_field, or another name"
        )


def is_moved(source: dict) -> bool:
    """Return whether the folder of an import no longer exists: it may have been moved."""
    return bool(source.get("path")) and not os.path.isdir(source["path"])


def earlier_choices(name: str, root: str) -> dict:
    """Return the arguments of `plan_import` with which a folder was imported before."""
    own = fo.load_dataset(name).info.get(INFO_KEY, {}) if fo.dataset_exists(name) else {}
    choices = own.get("choices", {})
    if own.get("path") == root:
        return choices
    if not is_moved(own):
        return {}
    return choices | {
        key: _moved_choice(choices[key], own["path"], root) for key in FILES if choices.get(key)
    }


def _moved_choice(chosen: str | list[str], old: str, new: str) -> str | list[str]:
    """Return one or several paths, with those in the old folder changed to the new one."""
    if isinstance(chosen, list):
        return [_moved_choice(path, old, new) for path in chosen]
    return moved_path(chosen, old, new) or chosen


def carry_out(
    plan: Plan,
    name: str,
    label_field: str,
    overwrite: bool,
    on_step: OnStep = lambda done, total: None,
    options: DecodeOptions = DEFAULT,
) -> Imported:
    """Execute a plan: decode every new file, and add those that are images.

    Files that are in the dataset already are read again only if their size or modification time has
    changed. So an import that was canceled or killed continues when it is called again. If the
    file of a sample no longer exists but one with the same content does, the sample gets its path.
    A dataset that is replaced is kept until the new one is complete. All changes are undone if the
    import fails, except if it is canceled or the database cannot be written. The caller must hold
    the lock of `importing`.

    Args:
        plan: see `fiftyone_gradcam.folders.planning.plan_import`
        name: the name of the dataset
        label_field: the field for the classes
        overwrite: replace an existing dataset with this name
        on_step: called with (files done, total files); an exception that it raises ends the import
        options: which unusual files are imported too; truncated ones are tagged

    Raises:
        ValueError: if no file is an image, or if the images have fewer than two classes; or if the
            dataset was imported from another folder, and its files are not in this one
        RuntimeError: if the database cannot be written
        CancelledError: if `on_step` raises it; images imported so far are kept
    """
    is_replaced = overwrite and fo.dataset_exists(name)
    own = {"path": plan.root, "label_field": label_field, "whole": False}
    if is_replaced:
        own[MARK] = name
    dataset, is_new = _target(successor_of(name) if is_replaced else name, own)
    before = dict(dataset.info[INFO_KEY])
    result = Imported(dataset)
    undo: list[dict] = []
    try:
        with durable():
            _choose(dataset, options)
            keep_imported_labels(dataset, label_field, {x.path: x.label for x in plan.items})
            updates = add(plan, result, label_field, on_step)
            _check(plan, result, label_field)
            undo = write_files(dataset, updates)
            activate_labels(dataset, label_field)
        with durable():
            record(plan, result, label_field)
    except CancelledError:
        if is_new and (is_replaced or not result.ids):
            delete_with_files(dataset)
            raise CancelledError("Canceled: nothing was imported or changed") from None
        raise CancelledError(
            f"Canceled: {counted(len(result.ids), 'image was', 'images were')} imported. "
            f"Import {plan.root!r} into "
            f"{name!r} again to add the others"
        ) from None
    except PyMongoError as error:  # nothing can be undone either
        words = f"FiftyOne's database cannot be written: {error}. Is its disk full? When it can be"
        if isinstance(error, RestartedError):
            words = f"{error}".removesuffix(". Call again")
        raise RuntimeError(
            f"{words}: import {plan.root!r} into {name!r} again, and it continues where it ended"
        ) from error
    except BaseException:
        if is_new:
            delete_with_files(dataset)
        else:
            restore_files(dataset, undo)
            dataset.delete_samples(result.ids)
            dataset.info[INFO_KEY] = before
            dataset.save()
        raise
    if is_replaced:  # the new dataset is complete; the next call finishes this if interrupted
        take_place(dataset, name)
    return result


def _target(name: str, own: dict) -> tuple[fo.Dataset, bool]:
    """Return the dataset that an import writes to, and whether it is new.

    Args:
        name: the name of the dataset
        own: the record that marks it as the target of this import; it is written first, so that
            the remains of a killed import are recognized
    """
    if fo.dataset_exists(name):
        dataset, is_new = fo.load_dataset(name), False
    else:
        dataset, is_new = fo.Dataset(name, persistent=True), True
    if INFO_KEY not in dataset.info:
        dataset.info[INFO_KEY] = own
        dataset.save()
    if is_new:
        prepare_colors(dataset, own["label_field"])
    if dataset.get_field(own["label_field"]) is None:
        dataset.add_sample_field(
            own["label_field"], fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification
        )
    return dataset, is_new


def _choose(dataset: fo.Dataset, options: DecodeOptions) -> None:
    """Store which unusual files are decoded; earlier choices are kept unless overridden."""
    earlier = decode_options(dataset)
    if options.keep_truncated and not earlier.keep_truncated:
        dataset.info[INFO_KEY]["keep_truncated"] = True
    if options.max_pixels is not None:
        dataset.info[INFO_KEY]["max_pixels"] = options.max_pixels
    if decode_options(dataset) != earlier:
        dataset.save()


def _check(plan: Plan, result: Imported, label_field: str) -> None:
    """Check that the images that could be read have at least two classes."""
    labels = result.dataset.distinct(f"{label_field}.label")
    if len(labels) < 2 and not plan.is_unlabelled:
        read = Plan(plan.root, plan.layout, plan.tables, skipped=result.skipped)
        read.items = [item for item in plan.items if item.label in labels]
        read.check()
