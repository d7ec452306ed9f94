"""What says something of images (a network, or their pixels), and the folder of its features."""

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
UNUSED_SECONDS = 30 * 24 * 3600.0  # so long are the features of a backbone kept that nobody reads


@dataclass(frozen=True)
class Source:
    """What says something of images.

    Attributes:
        digest: tells it from all others, and becomes the name of a folder: of a network letters
            and digits, of pixels alone words with hyphens
        words: what it is, for people
        run: version of the run whose network this is; None of others, which outlive all runs
    """

    digest: str
    words: str
    run: str | None = None


def source_of(
    dataset: fo.Dataset, network: Network | FrozenLater, run: Run | None = None
) -> Source:
    """A network as a source of features.

    Args:
        dataset: that they are to be kept with
        network: any
        run: that it is of; features go with a run of this dataset
    """
    is_own = run is not None and not isinstance(run, Pretrained)
    is_own = is_own and run.dataset_name == dataset.name
    return Source(network.digest[:32], str(network), run.version if is_own else None)


def thumbnails_source(size: int, resize: str) -> Source:
    """Small gray pictures as a source of features (see `review.duplicates.thumbnails`)."""
    return Source(f"thumbnails-{size}-{resize}", f"thumbnails of images of {size} pixels, {resize}")


def measures_source(size: int, resize: str) -> Source:
    """How light, sharp and rich images are (see `review.pictures.picture_measures`)."""
    return Source(f"measures-{size}-{resize}", f"measures of images of {size} pixels, {resize}")


def folder_of(dataset: fo.Dataset, source: Source) -> str:
    """Where the features of a source are."""
    return os.path.join(dataset_folder(dataset), FEATURES, source.digest)


def remove_gone(dataset: fo.Dataset, but: str = "") -> None:
    """Delete the features of networks of runs that are gone, and what is kept of pixels alone if no
    network is left.

    Args:
        dataset: of which the caller has the lock
        but: name of a folder that stays
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
            os.rmdir(home)  # if it is empty


def _is_of_pixels(name: str) -> bool:
    """Whether the folder of a name holds what is read from pixels, which takes no network."""
    return "-" in name


def useless_features(dataset_id: str) -> set[str]:
    """Names of the folders of features that nobody will miss: of runs that are gone, and of other
    networks whose features have not been read for a month.

    Args:
        dataset_id: of a dataset that exists
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
    """When the features in a folder were read or written last, in seconds since 1970."""
    return os.path.getmtime(os.path.join(folder, NOTE))


def is_gone(folder: str, versions: Collection[str]) -> bool:
    """Whether the features in a folder are of runs that are all gone.

    Args:
        folder: of a source
        versions: of the runs that there are
    """
    runs = _noted(folder)["runs"]
    return bool(runs) and not set(runs) & set(versions)


def _noted(folder: str) -> dict:
    """What is noted of a source: "network", words; empty if nothing can be read. And "runs", the
    versions of the runs that it is of, none for what outlives them."""
    try:
        with open(os.path.join(folder, NOTE), encoding="utf-8") as file:
            note = json.load(file)
        return {"network": str(note["network"]), "runs": list(map(str, note["runs"]))}
    except (OSError, ValueError, TypeError, LookupError):
        return {"network": "", "runs": []}


def note_source(folder: str, source: Source) -> None:
    """Note what the features in a folder are of."""
    before, runs = _noted(folder), []
    if source.run is not None and (before["runs"] or not before["network"]):
        runs = sorted({*before["runs"], source.run})
    note = {"network": source.words, "runs": runs}
    if note != before:
        with whole_file(os.path.join(folder, NOTE)) as part, open(part, "w", encoding="utf-8") as f:
            json.dump(note, f, ensure_ascii=False)
