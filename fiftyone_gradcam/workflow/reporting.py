"""Write a report of a dataset and its classifier as one HTML file."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import fiftyone as fo

from .. import __version__
from ..dataset import fields
from ..dataset.comparisons import newest_comparison
from ..dataset.import_record import decode_options
from ..dataset.report_data import data_of, import_root, training_of
from ..dataset.report_labels import decisions_of, suspects_of
from ..dataset.report_results import (
    field_of,
    heatmap_field_of,
    mistakes_of,
    results_of,
    shown_run,
)
from ..dataset.review_state import columns_of, default_label_field
from ..dataset.run import Run
from ..dataset.writing import alone_in
from ..disk import check_folder, whole_file
from ..jobs.delegating import delegable
from ..progress import Progress, reporting
from ..reports.facts import Facts
from ..reports.page import page
from .listing_reviews import list_reviews

Samples = fo.core.collections.SampleCollection
PICTURES, MOST_PICTURES = 24, 200
ENDINGS = (".html", ".htm")


@delegable
def report(
    samples: Samples,
    out: str,
    run: Run | str | None = None,
    label_field: str | None = None,
    pictures: int = PICTURES,
    overwrite: bool = False,
    progress: Progress = None,
    delegate: bool = False,
) -> str:
    """Write a report as one HTML file.

    The report shows the data, the split, the recipe, training curves, accuracy, the confusion
    matrix, the worst classes with heatmaps, suspicious labels with evidence, corrections, and the
    newest comparison of the run with another one.
    Images are embedded as thumbnails, and nothing is loaded from the internet, so you can send the
    file by email. The report shows stored results only; where there are none, it says which
    function computes them. The accuracy is that of the samples tagged "test", or else "val", or
    else of all samples; for a view, that of all its samples.

    Args:
        samples: a dataset, or a view to report on its samples only
        out: path of the file, which must end in ".html"; its folder is created if it does not exist
        run: the run to report on, or its key; by default (None), the newest run with predictions
        label_field: field with the labels of the samples; by default (None), the field that was
            judged, trained on or imported
        pictures: number of suspicious labels to show, and of corrected ones to show with their
            image, 0 to 200 (default: 24)
        overwrite: replace the file if it exists
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        the absolute path of the file

    Raises:
        ValueError: if there is no such run or label field, or an argument is invalid
        FileExistsError: if the file exists and `overwrite` is false
        IsADirectoryError: if the path is a folder
    """
    path = checked_path(out, overwrite)
    if isinstance(pictures, bool) or not isinstance(pictures, int) or pictures < 0:
        raise ValueError(f"pictures must be a whole number from 0 to 200, not {pictures!r}")
    if pictures > MOST_PICTURES:
        raise ValueError(f"pictures must be at most {MOST_PICTURES}, not {pictures!r}")
    dataset = fields.root_dataset(samples)
    chosen = shown_run(dataset, run)
    check_folder(os.path.dirname(path))
    label_field = _label_field(dataset, label_field, chosen)
    with reporting(progress, f"Writing a report of {dataset.name!r}") as advance:
        facts = _facts(samples, chosen, label_field, pictures, advance)
        text = page(facts)
    folder = os.path.dirname(path)
    with alone_in(folder), whole_file(path) as part:
        if os.path.exists(path) and not overwrite:  # another process created it meanwhile
            raise _exists(path)
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
    print(f"Report written to {path} ({os.path.getsize(path) / 2**20:.1f} MB)")
    return path


def checked_path(out: str, overwrite: bool) -> str:
    """Return the absolute path of a report, if it can be written.

    Raises:
        ValueError, FileExistsError, IsADirectoryError: if it cannot
    """
    path = os.path.abspath(os.path.expanduser(out))
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path!r} is a folder. Name a file in it, such as report.html")
    if not path.lower().endswith(ENDINGS):
        raise ValueError(f"out must end in .html, not {os.path.basename(path)!r}")
    if os.path.exists(path) and not overwrite:
        raise _exists(path)
    return path


def _exists(path: str) -> FileExistsError:
    return FileExistsError(f"{path!r} exists. Choose another name, or pass overwrite=True")


def _label_field(dataset: fo.Dataset, given: str | None, run: Run | None) -> str | None:
    """The label field of a report; None if the dataset has no labels."""
    if given is not None:
        fields.check_label_field(dataset, given)
        return given
    if run is not None and dataset.get_field(run.label_field) is not None:
        return run.label_field
    name = default_label_field(dataset)
    return name if name in fields.label_fields(dataset) else None


def _facts(samples: Samples, run: Run | None, label_field: str | None, pictures, advance):
    """Read all facts that the report shows."""
    dataset = fields.root_dataset(samples)
    total = 4
    advance(0, total, "Counting samples")
    data = data_of(samples, label_field)
    results, mistakes, heatmaps, suspects, reviews = None, {}, False, None, []
    name = field_of(dataset, run)
    if label_field is not None and name is not None:
        advance(1, total, "Comparing predictions with labels")
        found = results_of(samples, label_field, name)
        if found is not None:
            results, judged = found
            mistakes = mistakes_of(judged, results, label_field, name)
            heatmaps = heatmap_field_of(dataset, name) is not None
    if label_field is not None:
        advance(2, total, "Looking at suspicious labels")
        columns = columns_of(dataset, label_field)
        reviews = list_reviews(samples)
        suspects = suspects_of(samples, columns, pictures)
    advance(3, total, "Drawing")
    part = "" if isinstance(samples, fo.Dataset) else f"A view of {len(samples):,} samples"
    return Facts(
        title=dataset.name,
        part=part,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=__version__,
        data=data,
        training=training_of(dataset, run, reviews),
        results=results,
        mistakes=mistakes,
        heatmaps=heatmaps,
        suspects=suspects,
        decisions=decisions_of(reviews, import_root(dataset), decode_options(dataset), pictures),
        compared=newest_comparison(dataset, run),
    )
