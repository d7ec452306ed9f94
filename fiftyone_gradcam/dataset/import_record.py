"""The results of an import, as stored in the dataset's info and in a report file."""

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
LISTED = 1000  # maximum number of files listed in the dataset's info; the report lists all


@dataclass
class Imported:
    """The results of an import.

    Attributes:
        dataset: the dataset
        ids: ids of the new samples
        skipped: (path, reason) for each file that is left out
        notes: (path, note) for each unusual image that is imported
        duplicates: groups of equal files, each a list of paths
        moved: (old path, new path) of samples whose files were found in another place
        refreshed: paths of samples whose files have changed; their metadata is updated
        broken: (path, reason) of samples whose files can no longer be used; they are unchanged
        changed: (path, label in the dataset, label in the folder) of earlier samples whose labels
            differ; they are unchanged
        removed: paths of samples whose files no longer exist
        contradictions: the groups in `duplicates` with different labels
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
        """Set the groups of equal files, and find those with different labels.

        Args:
            groups: groups of equal files, each a list of paths
            labels: labels by path
        """
        self.duplicates = groups
        self.contradictions = [
            paths for paths in groups if len({labels[path] for path in paths} - {None}) > 1
        ]

    def reasons(self) -> dict[str, int]:
        """Return the number of files left out for each reason, the most frequent first."""
        return dict(Counter(reason for _, reason in self.skipped).most_common())


def decode_options(dataset: fo.Dataset) -> DecodeOptions:
    """Return which unusual files of a dataset are decoded, as chosen when it was imported."""
    own = dataset.info.get(INFO_KEY, {})
    return DecodeOptions(bool(own.get("keep_truncated")), own.get("max_pixels"))


def record(plan: Plan, result: Imported, label_field: str) -> None:
    """Store the results of an import in the dataset's info, and all details in a report file."""
    report = _write_report(result)
    replaces = result.dataset.info[INFO_KEY].get("replaces")
    result.dataset.info[INFO_KEY] = {
        **({"replaces": replaces} if replaces else {}),
        "path": plan.root,
        "folder": os.path.basename(plan.root),  # the dataset may have another name
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
    """Update the paths in the record and report of an import after a folder was moved."""
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
    """Return a part of a record with paths inside the old folder changed to the new folder."""
    if isinstance(value, dict):
        return {key: _moved(item, old, new) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(item, old, new) for item in value]
    return (moved_path(value, old, new) or value) if isinstance(value, str) else value


def _write_report(result: Imported) -> str | None:
    """Write the report, which lists all files with remarks; return its path, None without any."""
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
    rows += [(path, "file is missing", "") for path in result.removed]
    rows += [(path, "file was moved", f"from {old}") for old, path in result.moved]
    rows += [(path, "file has changed", "") for path in result.refreshed]
    rows += [(path, "file can no longer be decoded", reason) for path, reason in result.broken]
    return _save_report(os.path.join(dataset_folder(result.dataset), REPORT), rows)


def _save_report(path: str, rows: list[tuple[str, ...]]) -> str | None:
    """Write a report and return its path; None if it is empty or cannot be written."""
    try:
        return _write_rows(path, rows)
    except OSError as error:  # the images are imported already: a missing report undoes nothing
        print(f"Note: the report {path} cannot be written: {error.strerror or error}")
        return None


def _write_rows(path: str, rows: list[tuple[str, ...]]) -> str | None:
    """Write a report completely or not at all; if there are no rows, delete an earlier one."""
    with alone_in(os.path.dirname(path)):
        if not rows:
            if os.path.exists(path):
                os.unlink(path)
            return None
        with whole_file(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", "what", "details"), *rows])
    return path
