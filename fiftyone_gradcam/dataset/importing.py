"""Carrying out the plan of an import: what is new goes into the dataset, batch by batch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable

import fiftyone as fo
import fiftyone.core.media as fom

from ..cancelling import CancelledError
from ..folders.plan import Item, Plan
from ..folders.verify import Facts, digest_of, verify
from ..images.decode import ImageError
from .files import dataset_folder
from .import_record import INFO_KEY, Imported, keeps_truncated, record
from .names import check_name

BATCH = 1000  # samples written at a time
TRUNCATED = "truncated"  # tag of samples that are used as far as their files go


def check_target(name: str, root: str, label_field: str, overwrite: bool) -> None:
    """Refuse a dataset name that is taken by something else than an import of this folder.

    Raises:
        ValueError: with the remedy
    """
    if not label_field.isidentifier() or label_field.startswith("_"):
        raise ValueError(f"{label_field!r} is no name for a field. Use letters, digits and _")
    if label_field == "metadata" or hasattr(fo.Sample("any"), label_field):
        raise ValueError(f"{label_field!r} is a field that each sample has. Choose another name")
    check_name(name)
    if overwrite or not fo.dataset_exists(name):
        return
    dataset = fo.load_dataset(name)
    source = dataset.info.get(INFO_KEY, {})
    if not (source or dataset):  # empty, as an import leaves it that was killed when it began
        return
    if source.get("path") != root:
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


def earlier_choices(name: str, root: str) -> dict:
    """The arguments of `plan_import` that a dataset was imported by from this folder."""
    own = fo.load_dataset(name).info.get(INFO_KEY, {}) if fo.dataset_exists(name) else {}
    return own.get("choices", {}) if own.get("path") == root else {}


def carry_out(
    plan: Plan,
    name: str,
    label_field: str,
    overwrite: bool,
    on_step: Callable[[int, int], None] = lambda done, total: None,
    keep_truncated: bool = False,
) -> Imported:
    """Make what is planned: decode every new file, and add those that are images.

    Files that the dataset has already are left alone, so that an import that was cancelled or
    killed goes on when it is called again. A dataset that is replaced stays until the new one is
    whole. After an error all is as it was.

    Args:
        plan: see `fiftyone_gradcam.folders.plan.plan_import`
        name: of the dataset
        label_field: field for the classes
        overwrite: replace a dataset of this name
        on_step: called with (files done, files in all); what it raises ends the import
        keep_truncated: take truncated files too; the samples are tagged

    Raises:
        ValueError: if no file is an image, or those that are have fewer than two classes
        CancelledError: as `on_step` raised it; what was imported so far stays
    """
    _clear_up(name)
    replaced = fo.load_dataset(name) if overwrite and fo.dataset_exists(name) else None
    own = {"path": plan.root, "label_field": label_field, "whole": False}
    if replaced is not None:
        own["replaces"] = name
    dataset, is_new = _target(name, own)
    before = dict(dataset.info[INFO_KEY])
    if keep_truncated and not keeps_truncated(dataset):
        dataset.info[INFO_KEY]["keep_truncated"] = True
        dataset.save()
    result = Imported(dataset, skipped=list(plan.skipped))
    try:
        _add(plan, result, label_field, on_step, keep_truncated)
        _check(plan, result, label_field)
        record(plan, result, label_field)
        if replaced is not None:
            shutil.rmtree(dataset_folder(replaced), ignore_errors=True)
            replaced.delete()
            _take_place(dataset, name)
    except CancelledError:
        if is_new and (replaced is not None or not result.ids):
            dataset.delete()
            raise CancelledError("Cancelled: nothing is imported, all is as it was") from None
        raise CancelledError(
            f"Cancelled: {len(result.ids)} images are imported; importing {plan.root!r} into "
            f"{name!r} again goes on with the others"
        ) from None
    except BaseException:
        if is_new:
            dataset.delete()
        else:
            dataset.delete_samples(result.ids)
            dataset.info[INFO_KEY] = before
            dataset.save()
        raise
    return result


def _target(name: str, own: dict) -> tuple[fo.Dataset, bool]:
    """The dataset that an import writes to, and whether it was made just now.

    Args:
        name: of the dataset
        own: what marks it as this import's: it is written first, so that what is left of one that
            was killed is known
    """
    if "replaces" in own:
        if fo.dataset_exists(_successor(name)):
            raise ValueError(
                f"A dataset called {_successor(name)!r} is in the way of replacing {name!r}. "
                f"Rename it"
            )
        name = _successor(name)
    if fo.dataset_exists(name):
        dataset, is_new = fo.load_dataset(name), False
    else:
        dataset, is_new = fo.Dataset(name, persistent=True), True
    if INFO_KEY not in dataset.info:
        dataset.info[INFO_KEY] = own
        dataset.save()
    if dataset.get_field(own["label_field"]) is None:
        dataset.add_sample_field(
            own["label_field"], fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification
        )
    return dataset, is_new


def _successor(name: str) -> str:
    """Name of a dataset that is to replace another, until it is whole."""
    return f"{name} (new)"


def _clear_up(name: str) -> None:
    """Finish or undo what an import that was killed has left of a replacement."""
    if not fo.dataset_exists(_successor(name)):
        return
    found = fo.load_dataset(_successor(name))
    own = found.info.get(INFO_KEY, {})
    if own.get("replaces") != name:  # the user's
        return
    if own["whole"] and not fo.dataset_exists(name):
        _take_place(found, name)
    else:
        found.delete()


def _take_place(dataset: fo.Dataset, name: str) -> None:
    dataset.name = name
    dataset.info[INFO_KEY].pop("replaces")
    dataset.save()


def _add(
    plan: Plan,
    result: Imported,
    label_field: str,
    on_step: Callable[[int, int], None],
    keep_truncated: bool,
) -> None:
    """Add what is new; note what has changed."""
    dataset = result.dataset
    known = dict(zip(*dataset.values(["filepath", f"{label_field}.label"]), strict=True))
    new = [item for item in plan.items if item.path not in known]
    below = os.path.join(plan.root, "")
    result.removed = [p for p in known if p.startswith(below) and not os.path.exists(p)]
    result.changed = [
        (item.path, known[item.path], item.label)
        for item in plan.items
        if item.path in known and known[item.path] != item.label
    ]
    sizes = {item.size for item in new}
    alike = [item for item in plan.items if item.path in known and item.size in sizes]
    digests: dict[str, list[str]] = {}
    done = 0

    def images() -> Iterable[tuple[Item, Facts]]:
        nonlocal done
        for item, found in verify(new, keep_truncated, alike):
            done += 1
            on_step(done, len(new))
            if isinstance(found, ImageError):
                result.skipped.append((item.path, found.reason))
                continue
            if found.digest is not None:
                digests.setdefault(found.digest, []).append(item.path)
            if found.note is not None:
                result.notes.append((item.path, found.note))
            yield item, found

    rows, batch = images(), []
    try:
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                _write(result, batch, label_field)
                batch = []
    except CancelledError:
        _write(result, batch, label_field)
        raise
    finally:
        rows.close()
    _write(result, batch, label_field)
    for item in alike:
        if digest := digest_of(item.path):
            digests.setdefault(digest, []).append(item.path)
    labels = {item.path: known.get(item.path, item.label) for item in plan.items}
    result.find_equal([paths for paths in digests.values() if len(paths) > 1], labels)


def _write(result: Imported, batch: list[tuple[Item, Facts]], label_field: str) -> None:
    if not batch:
        return
    samples = [
        fo.Sample(
            filepath=item.path,
            media_type=fom.IMAGE,  # by its content: FiftyOne tells it by the extension alone
            tags=[item.split] * bool(item.split) + [TRUNCATED] * found.is_truncated,
            metadata=fo.ImageMetadata(
                size_bytes=found.size_bytes,
                mime_type=found.mime_type,
                width=found.width,
                height=found.height,
                num_channels=found.num_channels,
            ),
            **{label_field: fo.Classification(label=item.label) if item.label else None},
        )
        for item, found in batch
    ]
    # Of the same making all: that they fit the dataset is found out by the first of them.
    is_first = not result.ids
    result.ids += result.dataset.add_samples(
        samples, expand_schema=is_first, validate=is_first, progress=False
    )


def _check(plan: Plan, result: Imported, label_field: str) -> None:
    """Refuse what no classifier can be trained on, now that the files are read."""
    labels = result.dataset.distinct(f"{label_field}.label")
    if len(labels) < 2 and not plan.is_unlabelled:
        read = Plan(plan.root, plan.layout, plan.tables, skipped=result.skipped)
        read.items = [item for item in plan.items if item.label in labels]
        read.check()
