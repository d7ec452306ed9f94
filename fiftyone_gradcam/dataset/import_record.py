"""What came of an import, as the dataset and a report keep it."""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import dataclass, field

import fiftyone as fo

from ..folders.plan import Plan
from .files import dataset_folder

INFO_KEY = "import_folders"
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
    changed: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    contradictions: list[list[str]] = field(default_factory=list)

    def find_equal(self, groups: list[list[str]], labels: dict[str, str | None]) -> None:
        """Keep groups of equal files, with those of an earlier import.

        Args:
            groups: paths
            labels: of all paths that are there
        """
        told = {path for paths in groups for path in paths}
        earlier = self.dataset.info.get(INFO_KEY, {}).get("duplicates", [])
        earlier = [paths for paths in earlier if told.isdisjoint(paths) and set(paths) <= {*labels}]
        self.duplicates = groups + earlier
        self.contradictions = [
            paths for paths in self.duplicates if len({labels[path] for path in paths} - {None}) > 1
        ]

    def reasons(self) -> dict[str, int]:
        """How many files are left out for which reason."""
        return dict(Counter(reason for _, reason in self.skipped).most_common())


def keeps_truncated(dataset: fo.Dataset) -> bool:
    """Whether truncated files of a dataset are used as far as they go, as its import was told."""
    return bool(dataset.info.get(INFO_KEY, {}).get("keep_truncated"))


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
        "removed_files": result.removed[:LISTED],
        "report": report,
        "keep_truncated": keeps_truncated(result.dataset),
        "whole": True,
    }
    result.dataset.save()


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
    path = os.path.join(dataset_folder(result.dataset), REPORT)
    if not rows:
        if os.path.exists(path):  # of an earlier import
            os.unlink(path)
        return None
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "what", "details"), *rows])
    return path
