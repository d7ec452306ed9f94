"""Comparisons of runs, kept with the run that was compared last, for reports."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple

import fiftyone as fo

from ..reports.facts import Compared
from ..review.comparison import Pairs
from . import runs
from .basis import Snapshot, now_text
from .run import Run

NAME = "compared"  # in the record of a run
MOST_CLASSES = 1000  # their results are kept; a database document is limited to 16 MB


def keep_comparison(
    dataset: fo.Dataset,
    a: Run,
    b: Run,
    label_field: str,
    pairs: Pairs,
    classes: Mapping[str, Pairs],
    notes: list[str],
) -> None:
    """Keep a comparison in the record of its second run, in a single write.

    Args:
        dataset: the dataset of both runs
        a, b: the runs
        label_field: the field of the labels that they were compared with
        pairs: numbers of samples that each classifies correctly
        classes: the same numbers for the samples of each class
        notes: remarks on the result
    """
    runs.keep_values(
        dataset,
        b.key,
        **{
            NAME: {
                "run": a.version,
                "with": b.version,
                "label_field": label_field,
                "labels": Snapshot(dataset, label_field).all_labels(),
                "time": now_text(),
                "pairs": list(astuple(pairs)),
                "classes": [[x, *astuple(own)] for x, own in [*classes.items()][:MOST_CLASSES]],
                "notes": notes,
            }
        },
    )


def newest_comparison(dataset: fo.Dataset, run: Run | None) -> Compared | None:
    """Return the newest comparison of a run with another one.

    Args:
        dataset: the dataset of the run
        run: the run; None if there is none

    Returns:
        the comparison; None if there is none, or if one of its runs was deleted or trained again
    """
    if run is None:
        return None
    keys = {runs.trained_at(dataset, key): key for key in runs.list_runs(dataset)}
    found = []
    for key in keys.values():
        if one := getattr(dataset.get_run_info(key).config, NAME, None):
            both = {one["run"], one["with"]}
            found += [one] if run.version in both and both <= {*keys} else []
    if not found:
        return None
    one = max(found, key=lambda x: x["time"])
    notes = list(one["notes"])
    with suppress(Exception):  # the field may have been deleted
        if Snapshot(dataset, one["label_field"]).all_labels() != one["labels"]:
            notes.insert(0, "Labels have changed since: compare the runs again")
    return Compared(
        a=keys[one["run"]],
        b=keys[one["with"]],
        made=f"{one['time'][:16].replace('T', ' ')} UTC",
        pairs=Pairs(*one["pairs"]),
        classes={name: Pairs(*own) for name, *own in one["classes"]},
        notes=notes,
    )
