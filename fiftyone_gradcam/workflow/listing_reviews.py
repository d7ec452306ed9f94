"""List and export decisions about labels."""

from __future__ import annotations

import csv
import os
from dataclasses import fields

import fiftyone as fo

from ..arguments import checked
from ..dataset.decisions import adopt_edits
from ..dataset.fields import root_dataset, whole
from ..dataset.review_state import columns_of
from ..dataset.reviews import Review, journal, reviewing
from ..dataset.writing import alone_in
from ..disk import plain_errors, whole_file
from ..progress import counted

Samples = fo.core.collections.SampleCollection
COLUMNS = tuple(x.name for x in fields(Review))


def list_reviews(samples: Samples) -> list[Review]:
    """List all current decisions about the labels of a dataset, oldest first.

    A label that was edited elsewhere (with FiftyOne's Annotate, `edit_field_values` or Python)
    counts as a correction of the imported or last reviewed label, and is added to the list.

    Args:
        samples: a dataset, or a view to list only the decisions about its samples

    Returns:
        a `Review` for each decision

    Raises:
        ValueError: if the dataset has no field with labels
    """
    dataset = root_dataset(samples)
    with reviewing(dataset):
        adopt_edits(dataset, columns_of(dataset))
    return journal(whole(samples))


@checked
def export_reviews(samples: Samples, csv_path: str, overwrite: bool = False) -> str:
    """Write all decisions about the labels of a dataset to a CSV file (see `list_reviews`).

    The columns are the attributes of `Review`: sample_id, filepath, decision, old_label, new_label,
    label_field, source, time, evidence, suggestion, step.

    Args:
        samples: a dataset or view
        csv_path: path of the file to write
        overwrite: replace the file if it exists

    Returns:
        the absolute path of the file

    Raises:
        FileExistsError: if the file exists and `overwrite` is false
        IsADirectoryError: if the path is a folder
    """
    path = os.path.abspath(os.path.expanduser(csv_path))
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path!r} is a folder. Name a file in it, such as reviews.csv")
    if os.path.exists(path) and not overwrite:
        raise FileExistsError(f"{path!r} exists. Choose another name, or pass overwrite=True")
    found = list_reviews(samples)
    with plain_errors():
        text = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
        with (
            alone_in(os.path.dirname(path)),
            whole_file(path) as part,
            open(part, "w", **text) as file,
        ):
            rows = csv.writer(file)
            rows.writerow(COLUMNS)
            rows.writerows([getattr(one, name) for name in COLUMNS] for one in found)
    print(f"{counted(len(found), 'decision')} written to {path}")
    return path
