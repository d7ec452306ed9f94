"""Update the file paths of samples after files were moved."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import fiftyone as fo

from ..dataset.fields import root_dataset
from ..dataset.import_record import record_moved
from ..dataset.known_files import Known, known_files, write_paths
from ..dataset.writing import exclusive
from ..folders.moved import moved_path
from ..folders.verify import digest_of, state_of
from ..jobs.delegating import delegable
from ..progress import Progress, counted, reporting, some

MOST_LOOKED_AT = 1000  # files that a form checks at each key press


@dataclass(frozen=True)
class Relocated:
    """The result of `relocate`.

    Attributes:
        moved: number of samples whose files were found in the new folder
        missing: old paths of files that are not in the new folder
        different: old paths of files whose new path has a different file, or a file that already
            belongs to another sample; these samples are not changed
    """

    moved: int
    missing: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)


@delegable
@exclusive
def relocate(
    samples: fo.core.collections.SampleCollection,
    old: str,
    new: str,
    progress: Progress = None,
    delegate: bool = False,
) -> Relocated:
    """Update the file paths of samples after a folder was moved or renamed.

    A sample keeps all its fields, tags, predictions and heatmaps. Its path is updated if there is a
    file at the same relative path in the new folder, with the size and the content that were
    recorded at import (as far as they were recorded). The record of the imported folder is updated
    too.

    Args:
        samples: a dataset or view
        old: the old folder, as in the paths of the samples; it does not need to exist
        new: the new folder
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        a `Relocated`: how many samples were updated, and which files were not found or are
        different

    Raises:
        NotADirectoryError: if the new folder does not exist
        ValueError: if no sample has its file in the old folder, or none of these files is in the
            new folder; nothing is changed
        CancelledError: if `progress` raised it; nothing is changed
    """
    dataset = root_dataset(samples)
    old, new = (os.path.abspath(os.path.expanduser(path)) for path in (old, new))
    known = _below(samples, old, new)
    taken = set(dataset.values("filepath"))
    moved, missing, different = [], [], []
    with (
        reporting(progress, f"Looking for {len(known)} files in {new}") as report,
        ThreadPoolExecutor(os.cpu_count(), "gradcam-relocate") as pool,
    ):
        try:
            targets = [moved_path(own.path, old, new) for own in known]
            found = pool.map(_is_there, known, targets)
            for done, (own, path, is_same) in enumerate(
                zip(known, targets, found, strict=True), start=1
            ):
                if is_same is None:
                    missing.append(own.path)
                elif not is_same or path in taken:
                    different.append(own.path)
                else:
                    moved.append((own, path))
                report(done, len(known), f"{done} of {len(known)} files")
        finally:
            pool.shutdown(cancel_futures=True)
    if not moved:
        why = "is another file" if different else "does not exist"
        raise ValueError(
            f"None of the {len(known)} files of {dataset.name!r} in {old!r} is in {new!r}: "
            f"{targets[0] if not different else moved_path(different[0], old, new)} {why}"
        )
    record_moved(dataset, old, new)
    write_paths(dataset, moved)
    print(f"Dataset {dataset.name!r}: {len(moved)} of {len(known)} samples now have files in {new}")
    if missing:
        print(f"Not in the new folder: {counted(len(missing), 'file')}, such as {some(missing, 3)}")
    if different:
        print(
            f"Different files, or files of other samples, are in the place of "
            f"{counted(len(different), 'file')}, such as {some(different, 3)}"
        )
    return Relocated(len(moved), missing, different)


def count_found(
    samples: fo.core.collections.SampleCollection, old: str, new: str
) -> tuple[int, int, int]:
    """Count how many files of a folder would be found in another one, comparing only their sizes.

    Args:
        samples, old, new: see `relocate`

    Returns:
        number of files found, number of files checked (a sample spread over all files), and number
        of files in the old folder

    Raises:
        NotADirectoryError, ValueError: as in `relocate`, before files are searched
    """
    old, new = (os.path.abspath(os.path.expanduser(path)) for path in (old, new))
    known = _below(samples, old, new)
    looked_for = known[:: -(-len(known) // MOST_LOOKED_AT)]
    found = 0
    for own in looked_for:
        state = state_of(moved_path(own.path, old, new))
        found += state is not None and own.size in (None, state[0])
    return found, len(looked_for), len(known)


def likely_folder(samples: fo.core.collections.SampleCollection) -> str | None:
    """The deepest folder that contains all missing files; None if no file is missing."""
    missing = [path for path in samples.values("filepath") if not os.path.exists(path)]
    return os.path.commonpath([os.path.dirname(path) for path in missing]) if missing else None


def _below(samples: fo.core.collections.SampleCollection, old: str, new: str) -> list[Known]:
    """Return the samples whose files are in the folder `old`."""
    if not os.path.isdir(new):
        raise NotADirectoryError(f"There is no folder {new!r}")
    if old == new:
        raise ValueError(f"The old folder and the new one are the same: {new!r}")
    files = known_files(samples)
    known = [own for path, own in files.items() if moved_path(path, old, new)]
    if not known:
        where = f"; the first file is {next(iter(files))}" if files else ""
        raise ValueError(
            f"No sample of {samples._root_dataset.name!r} has its file in {old!r}{where}"
        )
    return known


def _is_there(own: Known, path: str) -> bool | None:
    """Whether a file matches the recorded size and content of a sample; None if there is no
    file."""
    state = state_of(path)
    if state is None:
        return None
    if own.size not in (None, state[0]):
        return False
    return own.digest is None or own.digest == digest_of(path)
