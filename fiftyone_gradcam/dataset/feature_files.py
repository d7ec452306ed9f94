"""Files of image features: memory-mapped rows of float16, and a key for each row.

A file holds the values of all rows, then a record for each row, then a footer with the number of
rows. It gets its final name when it is complete, and is never changed after that.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ..disk import make_folder

ENDING, PART = ".features", ".part"
# The first 12 bytes of a key are the sample's id, the next 8 identify the version of its file.
# Values are divided by a power of two, the scale, so that features of any network fit into float16.
RECORD = np.dtype([("key", "V20"), ("scale", "<f4")])
FOOTER = np.dtype([("magic", "S8"), ("width", "<u4"), ("count", "<u8")])
MAGIC = b"features"
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class FeatureFile:
    """A complete file of features.

    Attributes:
        path: path of the file
        values: (n, C) float16, memory-mapped
        records: (n,) of type `RECORD`
    """

    path: str
    values: np.ndarray
    records: np.ndarray

    def keys(self) -> list[bytes]:
        """Return the key of each row."""
        raw = self.records["key"].tobytes()
        size = RECORD["key"].itemsize
        return [raw[start : start + size] for start in range(0, len(raw), size)]

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the features (r, C) float32 of some rows."""
        return self.values[rows].astype(np.float32) * self.records["scale"][rows][:, None]


def open_features(path: str) -> FeatureFile | None:
    """Open a file of features; return None if it does not exist or is not a valid one."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            file.seek(max(0, size - FOOTER.itemsize))
            end = file.read()
        footer = np.frombuffer(end, FOOTER)[0] if len(end) == FOOTER.itemsize else None
        if footer is None or footer["magic"] != MAGIC:
            return None
        count, width = int(footer["count"]), int(footer["width"])
        if not count or not width or size != count * (2 * width + RECORD.itemsize) + len(end):
            return None
        values = np.memmap(path, "<f2", "r", 0, (count, width))
        records = np.fromfile(path, RECORD, count, offset=2 * count * width)
    except OSError:
        return None
    return FeatureFile(path, values, records)


def feature_files(folder: str) -> Iterator[FeatureFile]:
    """Yield all files of features in a folder, the newest first."""
    try:
        names = sorted(os.listdir(folder), reverse=True)
    except OSError:
        return
    for name in names:
        found = open_features(os.path.join(folder, name)) if name.endswith(ENDING) else None
        if found is not None:
            yield found


def matches(
    folder: str, wanted: Mapping[bytes, int]
) -> Iterator[tuple[FeatureFile, np.ndarray, np.ndarray]]:
    """Yield the files of a folder that contain wanted rows.

    Args:
        folder: a folder with files of features
        wanted: target positions by key

    Yields:
        the file, the indexes (r,) of its wanted rows, and their target positions (r,)
    """
    for file in feature_files(folder):
        keys = file.keys()
        rows = np.array([row for row, key in enumerate(keys) if key in wanted], np.int64)
        if len(rows):
            yield file, rows, np.array([wanted[keys[row]] for row in rows])


def read_rows(folder: str, wanted: Mapping[bytes, int], found: np.ndarray) -> np.ndarray:
    """Read the wanted rows from the files of a folder (see `matches`).

    Args:
        folder, wanted: see `matches`
        found: (N, C) float32 array to write to; (N, 0) if C is not known yet

    Returns:
        the same array, or a new one (N, C) in place of one (N, 0), with NaN in missing rows
    """
    for file, rows, places in matches(folder, wanted):
        width = file.values.shape[1]
        if not found.shape[1]:
            found = np.full((len(found), width), np.nan, np.float32)
        if found.shape[1] == width:
            found[places] = file.rows(rows)
    return found


def packed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convert features (n, C) to float16, with a scale (n,) to multiply each row by.

    The scale is a power of two; it is 1 for rows that fit into float16 as they are.
    """
    peaks = np.abs(values).max(1, initial=0.0)
    exponents = np.frexp(peaks)[1]
    exponents[(exponents <= 15) & (exponents >= -2)] = 0
    exponents = np.minimum(exponents, 127)  # the largest that float32 has
    scale = np.ldexp(np.float32(1), exponents).astype(np.float32)
    return (values / scale[:, None]).astype(np.float16), scale


def rounded(values: np.ndarray) -> np.ndarray:
    """Round features (n, C) to the values that they have after being stored and read."""
    stored, scale = packed(np.asarray(values, np.float32))
    return stored.astype(np.float32) * scale[:, None]


class FeatureWriter:
    """Write a file of features row by row; the file appears only when it is complete.

    Args:
        folder: the folder to write to, which is created with the first row
    """

    def __init__(self, folder: str):
        self.folder = folder
        self._lock = threading.Lock()
        self._file, self._part, self._width = None, "", 0
        self._records: list[np.ndarray] = []

    @property
    def count(self) -> int:
        """The number of rows added so far."""
        return sum(map(len, self._records))

    def add(self, keys: Sequence[bytes], values: np.ndarray) -> None:
        """Add rows; rows with values that are not finite are left out.

        Args:
            keys: n keys of 20 bytes
            values: (n, C) features
        """
        values = np.asarray(values, np.float32)
        good = np.isfinite(values).all(1)
        if not good.any():
            return
        stored, scale = packed(values[good])
        records = np.empty(len(stored), RECORD)
        chosen = b"".join(key for key, is_good in zip(keys, good, strict=True) if is_good)
        records["key"] = np.frombuffer(chosen, RECORD["key"])
        records["scale"] = scale
        with self._lock:
            if self._file is None:
                self._open(stored.shape[1])
            self._file.write(np.ascontiguousarray(stored, "<f2").tobytes())
            self._records.append(records)

    def _open(self, width: int) -> None:
        make_folder(self.folder)
        self._part = os.path.join(self.folder, f".{uuid.uuid4().hex[:12]}{PART}")
        handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file, self._width = os.fdopen(handle, "wb"), width

    def commit(self) -> str | None:
        """Complete the file and return its path; None if no row was added."""
        if self._file is None:
            return None
        try:
            for records in self._records:
                self._file.write(records.tobytes())
            footer = np.array([(MAGIC, self._width, self.count)], FOOTER)
            self._file.write(footer.tobytes())
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            # Names sort by time, because the newest file is read first.
            name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:6]}{ENDING}"
            path = os.path.join(self.folder, name)
            os.replace(self._part, path)
        except BaseException:
            self.discard()
            raise
        self._file = None
        return path

    def discard(self) -> None:
        """Discard everything that was not committed."""
        if self._file is not None:
            with suppress(OSError):  # flushing fails if the disk is full
                self._file.close()
            self._file = None
            with suppress(FileNotFoundError):
                os.unlink(self._part)


def merge_files(folder: str, samples: set[bytes]) -> None:
    """Merge the files of a folder into one, with the newest row of each sample.

    Args:
        folder: a folder with files of features
        samples: ids (12 bytes) of the samples whose rows are kept
    """
    files, known = list(feature_files(folder)), set()
    width = files[0].values.shape[1] if files else 0
    writer = FeatureWriter(folder)
    try:
        for file in files:
            if file.values.shape[1] != width:
                continue
            keys, rows = file.keys(), []
            for row, key in enumerate(keys):
                if key[:12] in samples and key[:12] not in known:
                    known.add(key[:12])
                    rows.append(row)
            for start in range(0, len(rows), ROWS_AT_ONCE):
                some = np.array(rows[start : start + ROWS_AT_ONCE])
                writer.add([keys[row] for row in some], file.rows(some))
        writer.commit()
    except BaseException:
        writer.discard()
        raise
    for file in files:
        with suppress(FileNotFoundError):
            os.unlink(file.path)


def remove_parts(folder: str) -> None:
    """Delete files of killed writers; no process may be writing to the folder."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.endswith(PART):
                os.unlink(os.path.join(folder, name))
