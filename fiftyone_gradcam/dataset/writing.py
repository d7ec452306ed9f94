"""One writer at a time: verbs that change a dataset wait for each other, jobs among them."""

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

# In the App's server a form must not hang for as long as a training takes.
SERVER_PATIENCE_SECONDS = 5.0


def lock_of(dataset: fo.Dataset) -> str:
    """What is locked while a dataset is changed."""
    return dataset_target(str(dataset._doc.id))


def import_lock(name: str) -> str:
    """What is locked while images are imported into a dataset of a name, which may be new."""
    return f"import {fo.config.database_name} {name}"


def patience() -> float | None:
    """Seconds to wait for another writer: in the App's server a few, elsewhere (None) any."""
    return SERVER_PATIENCE_SECONDS if os.environ.get("FIFTYONE_SERVER") else None


@contextmanager
def writing(samples: fo.core.collections.SampleCollection) -> Iterator[None]:
    """Change a dataset while nobody else does.

    Raises:
        TimeoutError: in the App's server, if another process keeps changing it
    """
    dataset = root_dataset(samples)
    with locked(lock_of(dataset), f"Dataset {dataset.name!r}", patience()) as waited:
        if waited:
            dataset.reload()
        make_ready(dataset)
        yield
        wait_for_disk()


def exclusive(verb: Callable) -> Callable:
    """Make a verb, whose first argument is a dataset or view, wait for other writers of it."""

    @wraps(verb)
    def call(samples: fo.core.collections.SampleCollection, *args: Any, **options: Any) -> Any:
        with writing(samples):
            return verb(samples, *args, **options)

    return call


def export_lock(folder: str) -> str:
    """What is locked while files are written to a folder."""
    return f"folder {os.path.realpath(folder)}"


@contextmanager
def alone_in(folder: str, inner: Iterable[str] = ()) -> Iterator[None]:
    """Keep others that write to a folder in this way away from it, and delete the half-written
    files that those of them have left that were killed.

    Args:
        folder: where to; it need not exist
        inner: folders below it, relative, that files will be written to

    Raises:
        TimeoutError: in the App's server, if another process keeps writing to it
    """
    with locked(export_lock(folder), f"Folder {folder!r}", patience()):
        for name in {"", *inner}:
            remove_parts(os.path.join(folder, name))
        yield


@contextmanager
def exporting(folder: str, overwrite: bool, inner: Iterable[str] = ()) -> Iterator[str]:
    """Make a folder ready to export to, and keep other exports away from it meanwhile.

    Args:
        folder: where to; it must be empty unless the user says otherwise
        overwrite: what the user says
        inner: see `alone_in`

    Yields:
        the absolute path of the folder

    Raises:
        FileExistsError, NotADirectoryError: if it is not empty, or is a file
        TimeoutError: in the App's server, if another process keeps writing to it
    """
    folder = os.path.abspath(os.path.expanduser(folder))
    with alone_in(folder, inner):
        yield ready_folder(folder, overwrite)
