"""Values that are collected on disk until they are complete, and only then replace others.

A field holds values of only one run. Values of a second run are first written to a file, sample by
sample, while the field still holds those of the first. When all of them are on disk, the file is
renamed. This commits the replacement: if it is interrupted, the next call completes it. First all
old values are deleted, then the description of the field is changed, then the new values are
stored. So a field never holds values of two runs, and values are deleted only for a complete
replacement.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import bson
import fiftyone as fo

from ..disk import whole_file
from .durable import durable
from .fields import index
from .files import SPOOLS, dataset_folder
from .runs import list_runs, load_run
from .storing import Declared, Rows, clear_fields, declare_all, describe, write_rows

WAITING, READY = ".waiting", ".ready"
ONCE = "once"  # header key of values that cannot be resumed before they are committed
ROWS_AT_ONCE = 128


class Spool:
    """A file of values that will replace others.

    Args:
        dataset: the dataset that the values are for
        path: path of the file
        header: see `make_header`
    """

    def __init__(self, dataset: fo.Dataset, path: str, header: dict):
        self.dataset, self.path, self.header = dataset, path, header

    @classmethod
    def create(cls, dataset: fo.Dataset, header: dict) -> Spool:
        """Create a file with a header; see `make_header`."""
        path = os.path.join(spool_folder(dataset), uuid.uuid4().hex[:12] + WAITING)
        with whole_file(path) as part, open(part, "wb") as file:
            file.write(bson.encode(header))
        return cls(dataset, path, header)

    @property
    def fields(self) -> dict[str, Declared]:
        """The types, descriptions and facts of the fields."""
        return {name: Declared(**values) for name, values in self.header["fields"].items()}

    def is_like(self, other: dict) -> bool:
        """Return whether another header is equal to this one."""
        return bson.encode(self.header) == bson.encode(other)

    def add(self, rows: Rows) -> None:
        """Append values; all values of a sample are written, or none."""
        size = os.path.getsize(self.path)
        try:
            with open(self.path, "ab") as file:
                for sample_id, values in rows.items():
                    file.write(bson.encode({"id": sample_id, "values": values}))
        except BaseException:
            os.truncate(self.path, size)
            raise

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield sample ids and values. An incomplete row of a killed process is cut off."""
        with open(self.path, "rb") as file:
            documents = bson.decode_file_iter(file)
            next(documents)
            end = file.tell()
            try:
                for row in documents:
                    end = file.tell()
                    yield row["id"], row["values"]
                return
            except bson.errors.InvalidBSON:
                pass
        os.truncate(self.path, end)

    def commit(self) -> None:
        """Commit the replacement and store the values; `complete` finishes it if interrupted."""
        with open(self.path, "ab") as file:
            os.fsync(file.fileno())
        ready = self.path.removesuffix(WAITING) + READY
        os.replace(self.path, ready)
        self.path = ready
        self.complete()

    def complete(self) -> None:
        """Store the committed values, also after an interruption, and delete the file."""
        with durable():
            self._store()
        os.unlink(self.path)

    def _store(self) -> None:
        dataset, fields, header = self.dataset, self.fields, self.header
        old = [name for name in header["replaced"] if dataset.get_field(name) is not None]
        ids = list(dict.fromkeys(sample_id for sample_id, _ in self.rows()))
        if old:
            clear_fields(dataset, old, None if header["clears_all"] else ids)
        none = {"samples": 0, "of": len(ids)}
        describe(dataset, {name: fields[name] for name in old}, none)
        empty = {name for name in fields if name in old or dataset.get_field(name) is None}
        declare_all(dataset, {name: one for name, one in fields.items() if name in empty}, none)
        declare_all(dataset, {name: one for name, one in fields.items() if name not in empty})
        rows = self.rows()
        while some := list(islice(rows, ROWS_AT_ONCE)):
            merged: dict[str, dict] = {}
            for sample_id, values in some:
                merged.setdefault(sample_id, {}).update(values)
            write_rows(dataset, merged)
        index(dataset, header["indexed"])
        describe(dataset, fields)

    def discard(self) -> None:
        """Discard the values."""
        os.unlink(self.path)


def replace_values(
    dataset: fo.Dataset, fields: dict[str, Declared], rows: Rows, clears_all: bool = False
) -> None:
    """Replace the values of fields by new ones, which are all known.

    Args:
        dataset: the dataset
        fields: the fields to write to; they need not exist
        rows: the values, by sample id and path
        clears_all: whether samples that are not in `rows` lose their values too
    """
    replace_by_parts(dataset, fields, [rows], clears_all)


def replace_by_parts(
    dataset: fo.Dataset,
    fields: dict[str, Declared],
    parts: Iterable[Rows],
    clears_all: bool = False,
) -> None:
    """Replace values as `replace_values` does, without holding all of them in memory.

    Args:
        dataset, fields, clears_all: see `replace_values`
        parts: an iterable of rows, each with the values of some samples
    """
    header = make_header(fields, list(fields), clears_all=clears_all)
    spool = Spool.create(dataset, header | {ONCE: True})
    try:
        for rows in parts:
            spool.add(rows)
        spool.commit()
    except BaseException:
        if spool.path.endswith(WAITING) and os.path.exists(spool.path):  # not committed
            spool.discard()
        raise


def make_header(
    fields: dict[str, Declared],
    replaced: list[str],
    run: dict | None = None,
    indexed: list[str] = (),
    clears_all: bool = True,
) -> dict:
    """Return the header of a file of values.

    Args:
        fields: the fields to write to
        replaced: those of the fields whose old values are deleted
        run: "key" and "version" of the run that the values depend on: they are discarded if it no
            longer exists; None if they depend on no run
        indexed: paths that need an index because samples are sorted by them
        clears_all: whether the old values of all samples are deleted, or only those of samples
            with new values
    """
    return {
        "fields": {name: asdict(declared) for name, declared in fields.items()},
        "replaced": list(replaced),
        "run": run,
        "indexed": list(indexed),
        "clears_all": clears_all,
    }


def spool_folder(dataset: fo.Dataset) -> str:
    """Return the folder of the files of waiting values."""
    return os.path.join(dataset_folder(dataset), SPOOLS)


def spools(dataset: fo.Dataset, ending: str = WAITING) -> list[Spool]:
    """Return the files of values that are not committed yet (`WAITING`) or committed (`READY`)."""
    folder = spool_folder(dataset)
    found = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if name.endswith(".part"):
            os.unlink(path)  # left by a killed process: the caller holds the dataset's lock
        elif name.endswith(ending):
            with open(path, "rb") as file:
                found.append(Spool(dataset, path, next(bson.decode_file_iter(file))))
    return found


def settle(dataset: fo.Dataset) -> int:
    """Complete interrupted replacements, and discard values that are no longer needed.

    Values of deleted runs are discarded, and those that cannot be resumed.

    Returns:
        the number of files that were completed or discarded
    """
    found = [*spools(dataset, READY), *spools(dataset, WAITING)]
    if not found:
        return 0
    versions = {load_run(dataset, key).version for key in list_runs(dataset)}
    count = 0
    for spool in found:
        run = spool.header["run"]
        is_decided = spool.path.endswith(READY)
        is_void = run is not None and run["version"] not in versions
        if is_void or (spool.header.get(ONCE) and not is_decided):
            spool.discard()
        elif is_decided:
            spool.complete()
        else:
            continue
        count += 1
    return count
