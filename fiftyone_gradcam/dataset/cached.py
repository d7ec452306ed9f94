"""A cache of results computed from a dataset, valid until the dataset changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar

import fiftyone as fo

MOST = 32  # results kept; the largest hold the scores of one class for all samples

Found = TypeVar("Found")
_LOCK = Lock()
_KEPT: OrderedDict[tuple, tuple[Hashable, object]] = OrderedDict()


def state_of(dataset: fo.Dataset) -> tuple:
    """Return a value that changes when samples or field descriptions of the dataset change."""
    samples = dataset._sample_collection
    newest = samples.find_one({}, ["last_modified_at"], sort=[("last_modified_at", -1)]) or {}
    count = samples.estimated_document_count()
    return (count, newest.get("last_modified_at"), dataset._doc.last_modified_at)


def cached(
    dataset: fo.Dataset, key: tuple[Hashable, ...], make: Callable[[], Found], state: tuple = ()
) -> Found:
    """Return the result of `make`, calling it again only after the dataset has changed.

    Args:
        dataset: the dataset that `make` reads
        key: identifies the result among all results of the dataset
        make: computes the result
        state: the value of `state_of`; if empty, it is determined here
    """
    state, place = state or state_of(dataset), (str(dataset._doc.id), *key)
    with _LOCK:
        if place in _KEPT and _KEPT[place][0] == state:
            _KEPT.move_to_end(place)
            return _KEPT[place][1]
    made = make()  # of this state or a later one; in the latter case it is computed again
    with _LOCK:
        _KEPT[place] = (state, made)
        _KEPT.move_to_end(place)
        while len(_KEPT) > MOST:
            _KEPT.popitem(last=False)
    return made


def forget() -> None:
    """Clear the cache."""
    with _LOCK:
        _KEPT.clear()
