"""Sources of image features (a network, or the pixels alone), and the folders of their features."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import fiftyone as fo

from ..disk import whole_file
from ..model.network import Network
from ..training.frozen import FrozenLater
from . import references
from .files import FEATURES, dataset_folder, files_folder
from .run import Pretrained, Run

NOTE = "network.json"
UNUSED_SECONDS = 30 * 24 * 3600.0  # features of a backbone unread for longer count as leftovers


@dataclass(frozen=True)
class Source:
    """A source of image features.

    Attributes:
        digest: identifies the source, and is the name of its folder: letters and digits for a
            network, words with hyphens for pixels alone
        words: a description to show
        run: the version of the run whose network this is; None for other sources, whose features
            are kept when runs are deleted
    """

    digest: str
    words: str
    run: str | None = None


def source_of(
    dataset: fo.Dataset, network: Network | FrozenLater, run: Run | None = None
) -> Source:
    """Return a network as a source of features.

    Args:
        dataset: the dataset that the features are stored with
        network: any network
        run: the run of the network; features of a run of this dataset are deleted with the run
    """
    is_own = run is not None and not isinstance(run, Pretrained)
    is_own = is_own and run.dataset_name == dataset.name
    return Source(network.digest[:32], str(network), run.version if is_own else None)


def compared_source(network: Network | FrozenLater, resize: str) -> Source:
    """Return a network with a resize method as a source of features to compare the methods by.

    These are not the features of `source_of`: images are decoded once for all methods.

    Args:
        network: any network, whose own resize method is ignored
        resize: the method
    """
    return Source(f"{network.digest[:32]}{resize}", f"{network}, to compare: {resize}")


def thumbnails_source(size: int, resize: str) -> Source:
    """Return gray thumbnails as a source of features (see `review.duplicates.thumbnails`)."""
    return Source(f"thumbnails-{size}-{resize}", f"thumbnails of images of {size} pixels, {resize}")


def measures_source(size: int, resize: str) -> Source:
    """Return pixel measures as a source of features (see `review.pictures.picture_measures`)."""
    return Source(f"measures-{size}-{resize}", f"measures of images of {size} pixels, {resize}")


def folder_of(dataset: fo.Dataset, source: Source) -> str:
    """Return the folder of the features of a source."""
    return os.path.join(dataset_folder(dataset), FEATURES, source.digest)


def remove_gone(dataset: fo.Dataset, but: str = "") -> None:
    """Delete the features of deleted runs, and features of pixels alone if no network is left.

    Args:
        dataset: the dataset, whose lock the caller holds
        but: the name of a folder that is kept
    """
    versions = references.run_versions(str(dataset._doc.id))
    home = os.path.join(dataset_folder(dataset), FEATURES)
    names = os.listdir(home) if os.path.isdir(home) else []
    gone = [name for name in names if is_gone(os.path.join(home, name), versions)]
    if gone and all(name in gone or _is_of_pixels(name) for name in names):
        gone = names
    for name in set(gone) - {but}:
        shutil.rmtree(os.path.join(home, name), ignore_errors=True)
    if gone:
        with suppress(OSError):
            os.rmdir(home)  # fails unless it is empty


def _is_of_pixels(name: str) -> bool:
    """Return whether a folder name is that of a source of pixels alone."""
    return "-" in name


def useless_features(dataset_id: str) -> set[str]:
    """Return the names of feature folders that are no longer needed.

    These belong to deleted runs, or to other networks whose features were not read for a month.

    Args:
        dataset_id: the id of an existing dataset
    """
    versions = references.run_versions(dataset_id)
    home, found = os.path.join(files_folder(), dataset_id, FEATURES), set()
    for name in os.listdir(home) if os.path.isdir(home) else ():
        folder = os.path.join(home, name)
        note = _noted(folder)
        is_used = note["network"] and time.time() - _used(folder) < UNUSED_SECONDS
        if not (note["runs"] or is_used) or is_gone(folder, versions):
            found.add(name)
    return found


def _used(folder: str) -> float:
    """Return when the features in a folder were last read or written, in seconds since 1970."""
    return os.path.getmtime(os.path.join(folder, NOTE))


def is_gone(folder: str, versions: Collection[str]) -> bool:
    """Return whether the features in a folder belong to runs that were all deleted.

    Args:
        folder: the folder of a source
        versions: the versions of the runs that exist
    """
    runs = _noted(folder)["runs"]
    return bool(runs) and not set(runs) & set(versions)


def _noted(folder: str) -> dict:
    """Return the note in the folder of a source.

    Returns:
        "network", the description of the source, or "" if the note cannot be read; and "runs", the
        versions of its runs, an empty list if the features do not belong to runs
    """
    try:
        with open(os.path.join(folder, NOTE), encoding="utf-8") as file:
            note = json.load(file)
        return {"network": str(note["network"]), "runs": list(map(str, note["runs"]))}
    except (OSError, ValueError, TypeError, LookupError):
        return {"network": "", "runs": []}


def note_source(folder: str, source: Source) -> None:
    """Write a note about the source of the features into their folder."""
    before, runs = _noted(folder), []
    if source.run is not None and (before["runs"] or not before["network"]):
        runs = sorted({*before["runs"], source.run})
    note = {"network": source.words, "runs": runs}
    if note != before:
        with whole_file(os.path.join(folder, NOTE)) as part, open(part, "w", encoding="utf-8") as f:
            json.dump(note, f, ensure_ascii=False)
