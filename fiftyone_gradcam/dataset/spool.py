"""Values that wait on disk until all of them are known, and only then replace others.

A field holds values of one run. Those of a second run are written to a file first, sample by
sample, while the field still shows the first. When the last of them is on disk, the file gets
another name: from that moment on the replacement is decided, and whoever comes next completes it if
it is cut short. First the old values go, all at once; then the field says whose it is; then come
the new ones. So a field never holds values of two runs, and values are lost for complete ones only.
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
from .storing import Declared, Rows, clear_fields, declare, describe, write_rows

WAITING, READY = ".waiting", ".ready"
ONCE = "once"  # in the header of values that nobody resumes before they are decided
ROWS_AT_ONCE = 128


class Spool:
    """Values on disk that are to replace others.

    Args:
        dataset: where they are to go
        path: the file
        header: see `make_header`
    """

    def __init__(self, dataset: fo.Dataset, path: str, header: dict):
        self.dataset, self.path, self.header = dataset, path, header

    @classmethod
    def create(cls, dataset: fo.Dataset, header: dict) -> Spool:
        """Begin a file; see `make_header`."""
        path = os.path.join(spool_folder(dataset), uuid.uuid4().hex[:12] + WAITING)
        with whole_file(path) as part, open(part, "wb") as file:
            file.write(bson.encode(header))
        return cls(dataset, path, header)

    @property
    def fields(self) -> dict[str, Declared]:
        """What the fields are to be."""
        return {name: Declared(**values) for name, values in self.header["fields"].items()}

    def is_like(self, other: dict) -> bool:
        """Whether a header says the same."""
        return bson.encode(self.header) == bson.encode(other)

    def add(self, rows: Rows) -> None:
        """Write values; those of a sample are in the file all together, or not at all."""
        size = os.path.getsize(self.path)
        try:
            with open(self.path, "ab") as file:
                for sample_id, values in rows.items():
                    file.write(bson.encode({"id": sample_id, "values": values}))
        except BaseException:
            os.truncate(self.path, size)
            raise

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Ids of samples, and their values. What a killed process wrote of a sample is cut off."""
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
        """Put the values where they belong. Once this has started, `complete` can finish it."""
        with open(self.path, "ab") as file:
            os.fsync(file.fileno())
        ready = self.path.removesuffix(WAITING) + READY
        os.replace(self.path, ready)
        self.path = ready
        self.complete()

    def complete(self) -> None:
        """Put values where they belong, from wherever that was cut short; then the file goes."""
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
        for name, declared in fields.items():
            is_empty = name in old or dataset.get_field(name) is None
            declare(dataset, name, declared, none if is_empty else None)
        rows = self.rows()
        while some := list(islice(rows, ROWS_AT_ONCE)):
            merged: dict[str, dict] = {}
            for sample_id, values in some:
                merged.setdefault(sample_id, {}).update(values)
            write_rows(dataset, merged)
        index(dataset, header["indexed"])
        describe(dataset, fields)

    def discard(self) -> None:
        """Give the values up."""
        os.unlink(self.path)


def replace_values(
    dataset: fo.Dataset, fields: dict[str, Declared], rows: Rows, clears_all: bool = False
) -> None:
    """Store values that are all known, in the place of those that are there.

    Args:
        dataset: where
        fields: that they are for; they need not exist
        rows: the values, by sample and path
        clears_all: whether samples that are not among the rows lose their values too
    """
    replace_by_parts(dataset, fields, [rows], clears_all)


def replace_by_parts(
    dataset: fo.Dataset,
    fields: dict[str, Declared],
    parts: Iterable[Rows],
    clears_all: bool = False,
) -> None:
    """Store values as `replace_values` does, of which some are in memory at a time.

    Args:
        dataset, fields, clears_all: see `replace_values`
        parts: values of some samples after the other
    """
    header = make_header(fields, list(fields), clears_all=clears_all)
    spool = Spool.create(dataset, header | {ONCE: True})
    try:
        for rows in parts:
            spool.add(rows)
        spool.commit()
    except BaseException:
        if spool.path.endswith(WAITING) and os.path.exists(spool.path):  # nothing is decided
            spool.discard()
        raise


def make_header(
    fields: dict[str, Declared],
    replaced: list[str],
    run: dict | None = None,
    indexed: list[str] = (),
    clears_all: bool = True,
) -> dict:
    """What values that wait are.

    Args:
        fields: that they are for
        replaced: those of the fields that lose the values that they have
        run: "key" and "version" of the run of the dataset without which they are worth nothing;
            None of none
        indexed: paths of values that samples are sorted by
        clears_all: whether all samples lose the values of replaced fields, or those alone that
            values wait for
    """
    return {
        "fields": {name: asdict(declared) for name, declared in fields.items()},
        "replaced": list(replaced),
        "run": run,
        "indexed": list(indexed),
        "clears_all": clears_all,
    }


def spool_folder(dataset: fo.Dataset) -> str:
    """Where values of a dataset wait."""
    return os.path.join(dataset_folder(dataset), SPOOLS)


def spools(dataset: fo.Dataset, ending: str = WAITING) -> list[Spool]:
    """What waits: still growing (`WAITING`), or complete (`READY`)."""
    folder = spool_folder(dataset)
    found = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if name.endswith(".part"):
            os.unlink(path)  # of a killed process: who writes has the dataset's lock
        elif name.endswith(ending):
            with open(path, "rb") as file:
                found.append(Spool(dataset, path, next(bson.decode_file_iter(file))))
    return found


def settle(dataset: fo.Dataset) -> int:
    """Complete the replacements that were decided and cut short, and give up the values of runs
    that are gone, and those that nobody resumes.

    Returns:
        how many files of values there were
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
