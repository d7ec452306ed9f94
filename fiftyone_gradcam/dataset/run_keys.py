"""The keys of runs: whether they are valid and free, and which run they belong to."""

from __future__ import annotations

import os
import re

import fiftyone as fo

from ..folders.path_names import check_name, same
from .fields import MOST_BYTES
from .references import METHOD
from .run import BEFORE_REVIEW, CURRENT, Pretrained, Run
from .run_files import can_resume
from .runs import has_run, list_runs, load_run


def check_key(dataset: fo.Dataset, key: str, overwrite: bool) -> None:
    """Check that FiftyOne can store a run key and that the key is free.

    Raises:
        ValueError: if the key is invalid, too long, or taken; the message says what to do
    """
    if not isinstance(key, str) or not key.isidentifier():
        raise ValueError(f"{key!r} is not a valid run key. Use letters, digits and underscores")
    if len(os.fsencode(key)) > MOST_BYTES:
        raise ValueError(
            f"{key[:40] + '…'!r} is too long for a run key, which names a folder too and may have "
            f"{MOST_BYTES} bytes. Choose a shorter one"
        )
    check_name(key, "A run")
    alike = [own for own in list_runs(dataset) if own != key and same(own) == same(key)]
    if alike:
        raise ValueError(
            f"Run {alike[0]!r} exists on {dataset.name!r}, and {key!r} would have the same folder "
            f"on file systems that ignore case. Choose another key"
        )
    if not has_run(dataset, key):
        return
    if dataset.get_run_info(key).config.method != METHOD:
        raise ValueError(f"Run {key!r} of {dataset.name!r} is not a training. Choose another key")
    if not overwrite:
        raise ValueError(
            f"Run {key!r} exists already on {dataset.name!r}. Choose another key, or pass "
            f"overwrite=True to replace it"
        )


def free_key(dataset: fo.Dataset, name: str) -> str:
    """Return a free key for a new run: the name, with a number appended if a run or an interrupted
    training has it."""
    taken, key, number = {same(x) for x in dataset.list_runs()}, name, 1
    while same(key) in taken or can_resume(dataset, key):
        number += 1
        key = f"{name}_{number}"
    return key


REPEATED = {CURRENT: "corrected", BEFORE_REVIEW: "before_review"}  # endings by labels
_repeated = re.compile(rf"_({'|'.join(REPEATED.values())})(_\d+)?$")


def repeated(key: str, labels: str) -> str:
    """Return the key of a run that repeats another one with other labels; it may be taken.

    Args:
        key: the key of the run to repeat; an ending from an earlier repetition is replaced
        labels: "current" or "before_review"
    """
    return f"{_repeated.sub('', key) or key}_{REPEATED[labels]}"


def next_key(dataset: fo.Dataset, name: str) -> str:
    """Return a free key that continues the numbers of another one: "a_3" after "a" and "a_2"."""
    stem, _, number = name.rpartition("_")
    return free_key(dataset, stem if stem and number.isdecimal() else name)


def key_on(dataset: fo.Dataset, key: Run | str) -> str:
    """Return the key of a run, and check that the run belongs to this dataset.

    A key is returned even if the dataset has no such run.

    Raises:
        ValueError: if the run belongs to another dataset, or the key is not a valid identifier
    """
    if isinstance(key, Run):
        if isinstance(key, Pretrained) or key.dataset_name != dataset.name:
            raise ValueError(
                f"{key} is not a run of {dataset.name!r}, but of {key.dataset_name!r}. Pass the "
                f"dataset it belongs to, or a key"
            )
        return key.key
    if not isinstance(key, str) or not key.isidentifier():  # it becomes part of a path
        load_run(dataset, key)
    return key
