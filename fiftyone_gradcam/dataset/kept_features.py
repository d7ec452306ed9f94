"""What networks say of the images of a dataset: computed once, and kept with the dataset.

For each network there is a folder of files (see `feature_files`), each row of which is of a sample
and of its file as it was. Rows of files that have changed are never found again. All of it can be
computed again: whatever is damaged, gone or cannot be written costs time alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import fiftyone as fo
import numpy as np

from ..disk import PLAIN
from ..images.decode import DecodeOptions
from ..progress import CancelledError
from .feature_files import (
    ENDING,
    FeatureWriter,
    matches,
    merge_files,
    read_rows,
    remove_parts,
)
from .feature_sources import NOTE, Source, folder_of, note_source, remove_gone
from .files import FEATURES, claim_folder, dataset_folder, files_folder
from .import_record import decode_options

MOST_FILES = 8  # more are made one


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
                note_source(self.folder, self.source)
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
