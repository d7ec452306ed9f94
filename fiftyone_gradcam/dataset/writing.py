"""Locks: verbs and jobs that change the same dataset or folder wait for each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import fiftyone as fo

from ..disk import remove_parts
from ..locks import dataset_target, locked
from .durable import wait_for_disk
from .fields import root_dataset
from .files import ready_folder
from .tidying import make_ready

# In the App's server, a form must not hang for as long as a training takes.
SERVER_PATIENCE_SECONDS = 5.0


def lock_of(dataset: fo.Dataset) -> str:
    """Return the name of the lock that is held while a dataset is changed."""
    return dataset_target(str(dataset._doc.id))


def import_lock(name: str) -> str:
    """Return the name of the lock for imports into a dataset, which need not exist yet."""
    return f"import {fo.config.database_name} {name}"


def patience() -> float | None:
    """Return the seconds to wait for a lock: a few in the App's server, else None (no limit)."""
    return SERVER_PATIENCE_SECONDS if os.environ.get("FIFTYONE_SERVER") else None


@contextmanager
def writing(samples: fo.core.collections.SampleCollection) -> Iterator[None]:
    """Hold the lock of a dataset while it is changed.

    Raises:
        TimeoutError: in the App's server, if another process holds the lock for too long
    """
    dataset = root_dataset(samples)
    with locked(lock_of(dataset), f"Dataset {dataset.name!r}", patience()) as waited:
        if waited:
            dataset.reload()
        make_ready(dataset)
        yield
        wait_for_disk()


def exclusive(verb: Callable) -> Callable:
    """Decorate a verb, whose first argument is a dataset or view, to hold the dataset's lock."""

    @wraps(verb)
    def call(samples: fo.core.collections.SampleCollection, *args: Any, **options: Any) -> Any:
        with writing(samples):
            return verb(samples, *args, **options)

    return call


def export_lock(folder: str) -> str:
    """Return the name of the lock that is held while files are written to a folder."""
    return f"folder {os.path.realpath(folder)}"


@contextmanager
def alone_in(folder: str, inner: Iterable[str] = ()) -> Iterator[None]:
    """Hold the lock of a folder, after deleting half-written files of killed processes.

    Args:
        folder: the folder to write to; it need not exist
        inner: relative paths of subfolders that files will be written to

    Raises:
        TimeoutError: in the App's server, if another process holds the lock for too long
    """
    with locked(export_lock(folder), f"Folder {folder!r}", patience()):
        for name in {"", *inner}:
            remove_parts(os.path.join(folder, name))
        yield


@contextmanager
def exporting(folder: str, overwrite: bool, inner: Iterable[str] = ()) -> Iterator[str]:
    """Create a folder to export to, and hold its lock during the export.

    Args:
        folder: the folder; it must be empty unless `overwrite` is True
        overwrite: allow a folder that is not empty
        inner: see `alone_in`

    Yields:
        the absolute path of the folder

    Raises:
        FileExistsError: if the folder is not empty and `overwrite` is False
        NotADirectoryError: if it is a file
        TimeoutError: in the App's server, if another process holds the lock for too long
    """
    folder = os.path.abspath(os.path.expanduser(folder))
    with alone_in(folder, inner):
        yield ready_folder(folder, overwrite)
