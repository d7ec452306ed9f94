"""The sections of a report about the data and the training, read from a dataset."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import fiftyone as fo

from ..reports.facts import Data, Training
from .fields import path_in, root_dataset, whole
from .import_record import INFO_KEY
from .reviews import Review
from .run import CURRENT, Run
from .runs import list_runs, load_run
from .splits import split_tags

Samples = fo.core.collections.SampleCollection
ORDER = ("train", "val", "test")
LISTED = 20  # maximum number of files that are listed


def data_of(samples: Samples, label_field: str | None) -> Data:
    """Return the numbers of samples by class and split, and for a whole dataset its source.

    Args:
        samples: a dataset or view
        label_field: the field of the labels; None if there is none
    """
    dataset = root_dataset(samples)
    labels, tags = _labels_and_tags(samples, label_field)
    known = split_tags(dataset)
    found = {tag for own in tags for tag in own} & known
    parts = [x for x in ORDER if x in found] + sorted(found - set(ORDER))
    counts: dict[str, Counter] = {}
    for label, own in zip(labels, tags, strict=True):
        if label is not None:
            part = next((x for x in parts if x in own), "")
            counts.setdefault(label, Counter())[part] += 1
    facts = {
        "label_field": label_field or "",
        "samples": len(labels),
        "unlabeled": sum(label is None for label in labels),
        "parts": parts,
        "counts": {name: dict(counts[name]) for name in sorted(counts)},
    }
    record = dataset.info.get(INFO_KEY) or {}
    root = record.get("path")
    if not root:
        return Data(**facts)
    facts |= {"folder": shown_folder(root), "layout": record.get("layout")}
    if not isinstance(samples, fo.Dataset):
        return Data(**facts)
    files = record.get("skipped_files") or []
    return Data(
        **facts,
        skipped=dict(record.get("passed_over") or {}),
        left_out=dict(record.get("skipped") or {}),
        left_out_files=[(shown_file(path, root), why) for path, why in files[:LISTED]],
        equal=len(record.get("duplicates") or []),
        contradictions=len(record.get("contradictions") or []),
    )


def _labels_and_tags(samples: Samples, label_field: str | None) -> tuple[list, list]:
    samples = whole(samples)
    if label_field is None:
        tags = samples.values("tags")
        return [None] * len(tags), tags
    labels, tags = samples.values([path_in(root_dataset(samples), label_field), "tags"])
    return [label or None for label in labels], tags


def training_of(
    dataset: fo.Dataset, run: Run | None, reviews: Sequence[Review] = ()
) -> Training | None:
    """Return what a report shows of a run.

    Args:
        dataset: the dataset of the run
        run: the run; None if there is none
        reviews: decisions about labels of the dataset

    Returns:
        the facts; None if run is None
    """
    if run is None:
        return None
    changed = [x for x in reviews if x.is_correction and x.label_field == run.label_field]
    later = [x for x in changed if run.trained and (x.time or "") > run.trained]
    return Training(
        key=run.key,
        trained=run.trained,
        classes=len(run.classes),
        recipe=run.recipe | {"weights": os.path.basename(str(run.recipe.get("weights")))},
        history=run.history,
        validations=run.validations,
        best_epoch=run.best_epoch,
        val_accuracy=run.val_accuracy,
        val_images=run.val_images,
        findings=run.findings,
        others=[key for key in list_runs(dataset) if key != run.key],
        corrected=len({x.sample_id for x in later}),
        retrained=_trained_since(dataset, run, max((x.time for x in later), default=None)),
    )


def _trained_since(dataset: fo.Dataset, run: Run, time: str | None) -> str | None:
    """Return the newest run on the same current labels that was trained after a time, if any."""
    if time is None:
        return None
    others = (load_run(dataset, key) for key in reversed(list_runs(dataset)) if key != run.key)
    return next(
        (
            one.key
            for one in others
            if (one.trained or "") > time
            and one.label_field == run.label_field
            and one.labels == CURRENT
        ),
        None,
    )


def import_root(dataset: fo.Dataset) -> str | None:
    """Return the folder that a dataset was imported from; None if unknown."""
    return (dataset.info.get(INFO_KEY) or {}).get("path")


def shown_file(path: str, root: str | None) -> str:
    """Return a file path as shown in a report.

    The path is relative to the folder of the import if it is inside it. Otherwise only the file
    name and its parent folder are shown.
    """
    if root and path.startswith(root.rstrip(os.sep) + os.sep):
        return os.path.relpath(path, root)
    return os.path.join(os.path.basename(os.path.dirname(path)), os.path.basename(path))


def shown_folder(path: str) -> str:
    """Return a folder path as shown in a report, with "~" for the home folder of the user."""
    home = os.path.expanduser("~").rstrip(os.sep)
    return f"~{path[len(home) :]}" if home and (path + os.sep).startswith(home + os.sep) else path
