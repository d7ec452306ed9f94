"""Find references to files of this plugin, in the samples and runs of all datasets.

Clones of a dataset use the files of the original, so a file is in use while anything refers to it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from datetime import datetime

import fiftyone.core.odm as foo
from bson import DBRef, ObjectId

from .durable import wait_for_disk
from .fields import OWNER

METHOD = "gradcam/fine_tune"
HEATMAP = "fiftyone.core.labels.Heatmap"
CHUNK = 1000  # paths in a query
MANY = 10_000  # samples; larger datasets get an index of their paths

_indexed: set[tuple[str, str]] = set()


def heatmaps_in_use(paths: Iterable[str]) -> set[str]:
    """Return the heatmap files among some paths that a sample of any dataset refers to.

    A dataset without references costs one index lookup, about half a millisecond.

    Args:
        paths: paths as stored in the samples
    """
    homes: dict[str, list[str]] = {}
    for path in paths:
        homes.setdefault(os.path.dirname(os.path.dirname(path)), []).append(path)
    found: set[str] = set()
    for collection, name in _heatmap_paths() if homes else ():
        for home, own in homes.items():
            inside = {"$regex": f"^{re.escape(home + os.sep)}"}
            if collection.find_one({name: inside}, {"_id": 1}) is None:
                continue
            for start in range(0, len(own), CHUNK):
                chosen = {name: {"$in": own[start : start + CHUNK]}}
                found.update(_values(collection.find(chosen, {name: 1, "_id": 0}), name))
    return found


def heatmap_tails(dataset_id: str) -> set[str]:
    """Return the ends of the paths of all heatmap files in a dataset's folder that are in use.

    Unlike whole paths, the ends do not change if the folder of all files is moved or reached by a
    link. This reads every sample.

    Args:
        dataset_id: the id of the dataset that the folder belongs to

    Returns:
        ends of paths such as "<dataset id>/heatmaps/gradcam/<file>"
    """
    found: set[str] = set()
    inside = {"$regex": rf"[/\\]{dataset_id}[/\\]heatmaps[/\\]"}
    for collection, name in _heatmap_paths(index=False):
        rows = collection.find({name: inside}, {name: 1, "_id": 0})
        found.update(tail(path, dataset_id) for path in _values(rows, name))
    return found


def run_tails(dataset_id: str) -> set[str]:
    """Return the files in a dataset's folder that runs of any dataset use; see `heatmap_tails`."""
    return {
        tail(path, dataset_id) for path in _run_paths() if dataset_id in re.split(r"[/\\]", path)
    }


def all_tails() -> set[str]:
    """Return `heatmap_tails` and `run_tails` of all datasets, reading each sample once."""
    inside = {"$regex": r"[/\\][0-9a-f]{24}[/\\]heatmaps[/\\]"}
    paths = [
        path
        for collection, name in _heatmap_paths(index=False)
        for path in _values(collection.find({name: inside}, {name: 1, "_id": 0}), name)
    ]
    found = set()
    for path in (*paths, *_run_paths()):
        ids = [part for part in re.split(r"[/\\]", path) if re.fullmatch("[0-9a-f]{24}", part)]
        found.update(tail(path, dataset_id) for dataset_id in ids)
    return found


def tail(path: str, dataset_id: str) -> str:
    """Return the end of a path, starting with the folder of a dataset."""
    parts = re.split(r"[/\\]", path)
    return "/".join(parts[parts.index(dataset_id) :])


def dataset_ids() -> set[str]:
    """Return the ids of all datasets of the database."""
    return {str(found["_id"]) for found in foo.get_db_conn().datasets.find({}, {"_id": 1})}


def database_id() -> str:
    """Return an id of this database; files of other databases may be in the same folder."""
    foo.get_db_config()  # creates the record if there is none
    return str(foo.get_db_conn().config.find_one({}, {"_id": 1})["_id"])


def _heatmap_paths(index: bool = True) -> Iterator[tuple]:
    """Yield the sample collection and the path of the values for each heatmap field."""
    wait_for_disk()  # or a file that is deleted now might be referred to again
    database = foo.get_db_conn()
    keys = ("name", "db_field", "embedded_doc_type", "info")
    wanted = {"sample_collection_name": 1, **{f"sample_fields.{key}": 1 for key in keys}}
    for found in database.datasets.find({"sample_fields.embedded_doc_type": HEATMAP}, wanted):
        for field in found["sample_fields"]:
            if field.get("embedded_doc_type") != HEATMAP:
                continue
            collection = database[found["sample_collection_name"]]
            name = f"{field.get('db_field') or field['name']}.map_path"
            is_own = (field.get("info") or {}).get("written_by") == OWNER
            if index and is_own and (collection.name, name) not in _indexed:
                if collection.estimated_document_count() > MANY:
                    collection.create_index(name)
                _indexed.add((collection.name, name))
            yield collection, name


def _values(rows: Iterable[dict], name: str) -> Iterator[str]:
    field = name.rpartition(".")[0]
    for row in rows:
        path = (row.get(field) or {}).get("map_path")
        if isinstance(path, str):
            yield path


def _run_paths() -> Iterator[str]:
    """Yield the paths of all files of all training runs that belong to a dataset."""
    wait_for_disk()
    database = foo.get_db_conn()
    listed = set()
    for found in database.datasets.find({"runs": {"$nin": [None, {}]}}, {"runs": 1}):
        runs = found["runs"].values()
        listed |= {run.id if isinstance(run, DBRef) else run for run in runs}
    wanted = {f"config.{name}": 1 for name in ("checkpoint", "curves", "watch")}
    for found in database.runs.find({"config.method": METHOD}, wanted):
        if found["_id"] in listed:
            yield from config_paths(found["config"])


def run_versions(dataset_id: str) -> set[str]:
    """Return the versions of the training runs of a dataset (see `Run.version`), read from the
    database."""
    database = foo.get_db_conn()
    found = database.datasets.find_one({"_id": ObjectId(dataset_id)}, {"runs": 1}) or {}
    listed = [x.id if isinstance(x, DBRef) else x for x in (found.get("runs") or {}).values()]
    chosen = {"_id": {"$in": listed}, "config.method": METHOD}
    return {
        version_of(run["config"].get("trained"), run["timestamp"])
        for run in database.runs.find(chosen, {"config.trained": 1, "timestamp": 1})
    }


def version_of(trained: str | None, timestamp: datetime) -> str:
    """Return the version of a run, which distinguishes it from other runs with the same key.

    Args:
        trained: the time at which it was stored, from its record; None in earlier versions
        timestamp: the time at which FiftyOne registered the record
    """
    return str(trained or timestamp.isoformat(timespec="milliseconds"))


def config_paths(config: dict) -> Iterator[str]:
    """Yield the paths of the files that the record of a training run names."""
    watch = config.get("watch")
    watch = watch if isinstance(watch, dict) else {}
    for path in (
        config.get("checkpoint"),
        config.get("curves"),
        *map(watch.get, ("maps", "strip")),
    ):
        if isinstance(path, str) and path:
            yield path
