"""What networks say of the images of a dataset: computed once, and kept with the dataset.

For each network there is a folder of files (see `feature_files`), each row of which is of a sample
and of its file as it was. Rows of files that have changed are never found again. All of it can be
computed again: whatever is damaged, gone or cannot be written costs time alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import fiftyone as fo
import numpy as np

from ..disk import PLAIN, whole_file
from ..images.decode import DecodeOptions
from ..model.network import Network
from ..progress import CancelledError
from . import references
from .feature_files import (
    ENDING,
    FeatureWriter,
    matches,
    merge_files,
    read_rows,
    remove_parts,
)
from .files import FEATURES, claim_folder, dataset_folder, files_folder
from .import_record import decode_options
from .runs import Pretrained, Run

NOTE = "network.json"
MOST_FILES = 8  # more are made one
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


def source_of(dataset: fo.Dataset, network: Network, run: Run | None = None) -> Source:
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


def keys_of(ids: Sequence[str], paths: Sequence[str], options: DecodeOptions) -> list[bytes | None]:
    """What tells a sample's file as it is now from any other: 20 bytes; None if it is not there.

    Args:
        ids, paths: of samples
        options: how unusual files are decoded
    """
    keys: list[bytes | None] = []
    for sample_id, path in zip(ids, paths, strict=True):
        try:
            stat = os.stat(path)
        except (OSError, ValueError):
            keys.append(None)
            continue
        # Not the whole path, which changes when a folder is moved.
        place = os.path.join(*path.replace(os.sep, "/").split("/")[-2:])
        facts = (place, stat.st_size, stat.st_mtime_ns, options.keep_truncated, options.max_pixels)
        digest = hashlib.blake2b(repr(facts).encode(errors="surrogateescape"), digest_size=8)
        keys.append(bytes.fromhex(sample_id) + digest.digest())
    return keys


class Kept:
    """The features of some samples by a source: those that are kept, and those that come. Who makes
    one has the dataset's lock.

    Args:
        dataset: that the samples are of
        source: what says them
        ids, paths: of the samples
    """

    def __init__(self, dataset: fo.Dataset, source: Source, ids: Sequence[str], paths: Sequence):
        self.dataset, self.source = dataset, source
        self.folder = folder_of(dataset, source)
        self.keys = keys_of(ids, paths, decode_options(dataset))
        self._writer = FeatureWriter(self.folder)
        self._wanted = {key: place for place, key in enumerate(self.keys) if key is not None}
        self._error: OSError | None = None
        remove_parts(self.folder)

    def read(self) -> np.ndarray:
        """Features (N, C) float32; NaN where there are none as yet, and (N, 0) if there are none.

        Those that other datasets have of the same samples, such as the original of a clone, are
        found too, and kept here.
        """
        found = read_rows(self.folder, self._wanted, np.empty((len(self.keys), 0), np.float32))
        own = present(found)
        lacking = {key: place for key, place in self._wanted.items() if not own[place]}
        for folder in self._elsewhere() if lacking else ():
            found = read_rows(folder, lacking, found)
        others = np.flatnonzero(present(found) & ~own)
        self.add(others, found[others])
        with suppress(OSError):
            os.utime(os.path.join(self.folder, NOTE))  # when it was of use
        return found

    def has(self) -> np.ndarray:
        """(N,) which features are kept with this dataset; nothing is read of them."""
        there = np.zeros(len(self.keys), bool)
        for _, _, places in matches(self.folder, self._wanted):
            there[places] = True
        return there

    def add(self, positions: np.ndarray, values: np.ndarray) -> None:
        """Keep features of some samples, as long as the file system takes them.

        Args:
            positions: (n,) of the samples
            values: (n, C)
        """
        known = [row for row, place in enumerate(positions) if self.keys[place] is not None]
        if self._error is None and known:
            try:
                self._writer.add([self.keys[positions[row]] for row in known], values[known])
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Keep what was added."""
        try:
            if self._error is None and self._writer.count:
                claim_folder(self.dataset)
                _note(self.folder, self.source)
                remove_gone(self.dataset, but=self.source.digest)
                self._writer.commit()
                if sum(name.endswith(ENDING) for name in os.listdir(self.folder)) > MOST_FILES:
                    merge_files(self.folder, {bytes.fromhex(i) for i in self.dataset.values("id")})
        except OSError as error:
            self._give_up(error)

    def discard(self) -> None:
        """Give up what was added."""
        self._writer.discard()

    def _give_up(self, error: OSError) -> None:
        self._error = error
        self._writer.discard()
        why = PLAIN.get(error.errno, (error.strerror or str(error),))[0]
        print(f"Note: features cannot be kept in {self.folder}: {why}. They are computed again")

    def _elsewhere(self) -> Iterator[str]:
        """Folders of the same source in other datasets."""
        home, own = files_folder(), os.path.basename(dataset_folder(self.dataset))
        for name in sorted(os.listdir(home)) if os.path.isdir(home) else ():
            folder = os.path.join(home, name, FEATURES, self.source.digest)
            if name != own and os.path.isdir(folder):
                yield folder


def present(features: np.ndarray) -> np.ndarray:
    """(N,) which rows of features (N, C) are there."""
    return np.isfinite(features).all(1) if features.shape[1] else np.zeros(len(features), bool)


@contextmanager
def keeping(*kept: Kept) -> Iterator[None]:
    """Keep what is added to features, also where a pass is cancelled half-way; of one that fails
    nothing stays."""
    try:
        yield
    except CancelledError:
        for one in kept:
            one.close()
        raise
    except BaseException:
        for one in kept:
            one.discard()
        raise
    for one in kept:
        one.close()


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


def _note(folder: str, source: Source) -> None:
    """Note what the features in a folder are of."""
    before, runs = _noted(folder), []
    if source.run is not None and (before["runs"] or not before["network"]):
        runs = sorted({*before["runs"], source.run})
    note = {"network": source.words, "runs": runs}
    if note != before:
        with whole_file(os.path.join(folder, NOTE)) as part, open(part, "w", encoding="utf-8") as f:
            json.dump(note, f, ensure_ascii=False)
