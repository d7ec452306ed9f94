"""What came of an import, as the dataset and a report keep it."""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import asdict, dataclass, field

import fiftyone as fo

from ..disk import whole_file
from ..folders.moved import moved_path
from ..folders.plan import Plan
from ..images.decode import DecodeOptions
from .files import dataset_folder
from .writing import alone_in

INFO_KEY = "import_folders"
IMPORTED_LABEL = "imported_label"  # field of the labels as they were imported
REPORT = "import.csv"
LISTED = 1000  # files named in the dataset's info; the report names all


@dataclass
class Imported:
    """What came of a plan.

    Attributes:
        dataset: that it went into
        ids: of the new samples
        skipped: (path, reason) of all files that are left out
        notes: (path, what is odd about it) of images that are in
        duplicates: paths of equal files, a list for each group
        moved: (path before, path now) of samples whose files were recognized at another place
        refreshed: paths of samples whose files are others than they were; their metadata are new
        broken: (path, reason) of samples whose files can no longer be used; they stay as they are
        changed: (path, label in the dataset, label in the folder) of images that were there
            already, whose labels differ; they are left as they are
        removed: paths of samples whose files are gone
        contradictions: those of the duplicates that have different labels
    """

    dataset: fo.Dataset
    ids: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    changed: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    contradictions: list[list[str]] = field(default_factory=list)

    def find_equal(self, groups: list[list[str]], labels: dict[str, str | None]) -> None:
        """Keep groups of equal files, and see which of them have several labels.

        Args:
            groups: paths
            labels: of all paths that are there
        """
        self.duplicates = groups
        self.contradictions = [
            paths for paths in groups if len({labels[path] for path in paths} - {None}) > 1
        ]

    def reasons(self) -> dict[str, int]:
        """How many files are left out for which reason."""
        return dict(Counter(reason for _, reason in self.skipped).most_common())


def decode_options(dataset: fo.Dataset) -> DecodeOptions:
    """Which unusual files of a dataset are decoded, as chosen at its import."""
    own = dataset.info.get(INFO_KEY, {})
    return DecodeOptions(bool(own.get("keep_truncated")), own.get("max_pixels"))


def record(plan: Plan, result: Imported, label_field: str) -> None:
    """Store what came of it in the dataset's info; and all of it in a file."""
    report = _write_report(result)
    replaces = result.dataset.info[INFO_KEY].get("replaces")
    result.dataset.info[INFO_KEY] = {
        **({"replaces": replaces} if replaces else {}),
        "path": plan.root,
        "folder": os.path.basename(plan.root),  # its own name: the dataset's may be another
        "label_field": label_field,
        "layout": str(plan.layout),
        "table": plan.table,
        "has_splits": any(item.split for item in plan.items),
        "skipped": result.reasons(),
        "skipped_files": [list(pair) for pair in result.skipped[:LISTED]],
        "passed_over": dict(plan.passed_over),
        "notes": dict(Counter(note for _, note in result.notes)),
        "duplicates": result.duplicates[:LISTED],
        "contradictions": result.contradictions[:LISTED],
        "choices": plan.choices,
        "changed_labels": [list(row) for row in result.changed[:LISTED]],
        "moved_files": [list(pair) for pair in result.moved[:LISTED]],
        "changed_files": result.refreshed[:LISTED],
        "broken_files": [list(pair) for pair in result.broken[:LISTED]],
        "removed_files": result.removed[:LISTED],
        "report": report,
        **asdict(decode_options(result.dataset)),
        "whole": True,
    }
    result.dataset.save()


def record_moved(dataset: fo.Dataset, old: str, new: str) -> None:
    """Make the paths that a dataset keeps of its import follow a folder that was moved."""
    own = dataset.info.get(INFO_KEY)
    if own is None:
        return
    report = own.get("report")
    dataset.info[INFO_KEY] = _moved(own, old, new) | ({"report": report} if report else {})
    dataset.save()
    if report and os.path.exists(report):
        with open(report, newline="", encoding="utf-8") as file:
            rows = [tuple(_moved(row, old, new)) for row in csv.reader(file)]
        _save_report(report, rows[1:])


def _moved(value: object, old: str, new: str) -> object:
    """A part of a record, with paths below a folder as they are below another."""
    if isinstance(value, dict):
        return {key: _moved(item, old, new) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(item, old, new) for item in value]
    return (moved_path(value, old, new) or value) if isinstance(value, str) else value


def _write_report(result: Imported) -> str | None:
    """Name every file of which there is something to say; None if there is nothing."""
    rows = [(path, "left out", reason) for path, reason in result.skipped]
    rows += [(path, "note", note) for path, note in result.notes]
    rows += [(path, "equal to", paths[0]) for paths in result.duplicates for path in paths[1:]]
    rows += [
        (path, "equal to one of another class", "") for g in result.contradictions for path in g
    ]
    rows += [
        (path, "label differs", f"{own} in the dataset, {label} in the folder")
        for path, own, label in result.changed
    ]
    rows += [(path, "file is gone", "") for path in result.removed]
    rows += [(path, "file was moved", f"from {old}") for old, path in result.moved]
    rows += [(path, "file has changed", "") for path in result.refreshed]
    rows += [(path, "file is broken now", reason) for path, reason in result.broken]
    return _save_report(os.path.join(dataset_folder(result.dataset), REPORT), rows)


def _save_report(path: str, rows: list[tuple[str, ...]]) -> str | None:
    """Write a report; None if there is none."""
    try:
        return _write_rows(path, rows)
    except OSError as error:  # the images are in: a report that cannot be written undoes nothing
        print(f"Note: the report {path} cannot be written: {error.strerror or error}")
        return None


def _write_rows(path: str, rows: list[tuple[str, ...]]) -> str | None:
    """Write a report, whole or not at all; an earlier one is gone if there is nothing to say."""
    with alone_in(os.path.dirname(path)):
        if not rows:
            if os.path.exists(path):
                os.unlink(path)
            return None
        with whole_file(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", "what", "details"), *rows])
    return path
