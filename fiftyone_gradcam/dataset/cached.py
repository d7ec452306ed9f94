"""What is counted in a dataset once, and kept until the dataset changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar

import fiftyone as fo

MOST = 32  # results; the largest are scores of one class of all samples

Found = TypeVar("Found")
_LOCK = Lock()
_KEPT: OrderedDict[tuple, tuple[Hashable, object]] = OrderedDict()


def state_of(dataset: fo.Dataset) -> tuple:
    """What differs after samples were added, changed or deleted, or fields were described."""
    samples = dataset._sample_collection
    newest = samples.find_one({}, ["last_modified_at"], sort=[("last_modified_at", -1)]) or {}
    count = samples.estimated_document_count()
    return (count, newest.get("last_modified_at"), dataset._doc.last_modified_at)


def cached(
    dataset: fo.Dataset, key: tuple[Hashable, ...], make: Callable[[], Found], state: tuple = ()
) -> Found:
    """What `make` returns; it is not called again for the same key until the dataset changes.

    Args:
        dataset: which `make` reads
        key: what is asked of it
        make: reads it
        state: what `state_of` has returned; empty asks for it
    """
    state, place = state or state_of(dataset), (str(dataset._doc.id), *key)
    with _LOCK:
        if place in _KEPT and _KEPT[place][0] == state:
            _KEPT.move_to_end(place)
            return _KEPT[place][1]
    made = make()  # of this state or a later one; a later one is counted again
    with _LOCK:
        _KEPT[place] = (state, made)
        _KEPT.move_to_end(place)
        while len(_KEPT) > MOST:
            _KEPT.popitem(last=False)
    return made


def forget() -> None:
    """Count everything again."""
    with _LOCK:
        _KEPT.clear()
