"""Image features of a dataset: computed once, and stored with the dataset.

Each source has a folder of files (see `feature_files`). Each row belongs to a sample and to one
version of its image file; if the file changes, the row is no longer found. All features can be
computed again, so files that are damaged, deleted or cannot be written cost only time.
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

MOST_FILES = 8  # more files are merged into one


def keys_of(ids: Sequence[str], paths: Sequence[str], options: DecodeOptions) -> list[bytes | None]:
    """Return the keys that identify samples and the current versions of their files.

    Args:
        ids, paths: ids and file paths of the samples
        options: how unusual files are decoded

    Returns:
        20 bytes for each sample; None if its file does not exist
    """
    keys: list[bytes | None] = []
    for sample_id, path in zip(ids, paths, strict=True):
        try:
            stat = os.stat(path)
        except (OSError, ValueError):
            keys.append(None)
            continue
        # Use only the end of the path, because the rest changes when a folder is moved.
        place = os.path.join(*path.replace(os.sep, "/").split("/")[-2:])
        facts = (place, stat.st_size, stat.st_mtime_ns, options.keep_truncated, options.max_pixels)
        digest = hashlib.blake2b(repr(facts).encode(errors="surrogateescape"), digest_size=8)
        keys.append(bytes.fromhex(sample_id) + digest.digest())
    return keys


class Kept:
    """Stored features of some samples from one source, to which further ones can be added.

    The caller must hold the dataset's lock.

    Args:
        dataset: the dataset of the samples
        source: the source of the features
        ids, paths: ids and file paths of the samples
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
        """Return the stored features, (N, C) float32; NaN where missing, (N, 0) if there are none.

        Features that other datasets have of the same samples, such as the original of a clone, are
        found too, and stored with this dataset.
        """
        found = read_rows(self.folder, self._wanted, np.empty((len(self.keys), 0), np.float32))
        own = present(found)
        lacking = {key: place for key, place in self._wanted.items() if not own[place]}
        for folder in self._elsewhere() if lacking else ():
            found = read_rows(folder, lacking, found)
        others = np.flatnonzero(present(found) & ~own)
        self.add(others, found[others])
        with suppress(OSError):
            os.utime(os.path.join(self.folder, NOTE))  # records when the features were last used
        return found

    def has(self) -> np.ndarray:
        """Return (N,) booleans, True for samples with stored features, without reading these."""
        there = np.zeros(len(self.keys), bool)
        for _, _, places in matches(self.folder, self._wanted):
            there[places] = True
        return there

    def add(self, positions: np.ndarray, values: np.ndarray) -> None:
        """Add features of some samples; after a write error, nothing more is added.

        Args:
            positions: (n,) positions of the samples
            values: (n, C) features
        """
        known = [row for row, place in enumerate(positions) if self.keys[place] is not None]
        if self._error is None and known:
            try:
                self._writer.add([self.keys[positions[row]] for row in known], values[known])
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Store the added features."""
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
        """Discard the added features."""
        self._writer.discard()

    def _give_up(self, error: OSError) -> None:
        self._error = error
        self._writer.discard()
        why = PLAIN.get(error.errno, (error.strerror or str(error),))[0]
        print(f"Note: features cannot be stored in {self.folder}: {why}. They are computed again")

    def _elsewhere(self) -> Iterator[str]:
        """Yield the folders of the same source in other datasets."""
        home, own = files_folder(), os.path.basename(dataset_folder(self.dataset))
        for name in sorted(os.listdir(home)) if os.path.isdir(home) else ():
            folder = os.path.join(home, name, FEATURES, self.source.digest)
            if name != own and os.path.isdir(folder):
                yield folder


def present(features: np.ndarray) -> np.ndarray:
    """Return (N,) booleans, True for rows of features (N, C) that are all finite."""
    return np.isfinite(features).all(1) if features.shape[1] else np.zeros(len(features), bool)


@contextmanager
def keeping(*kept: Kept) -> Iterator[None]:
    """Store features added in the body, also if canceled; discard them after other errors."""
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
