"""Serialize the arguments of a verb, so that another process can call it."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import is_dataclass

import fiftyone as fo
import numpy as np
from bson import json_util

from ..dataset.stages import build_view

VIEW, RECIPE = "__view__", "__recipe__"
DIGITS = 24  # of a sample id


def encode(given: dict) -> str:
    """Serialize arguments as JSON.

    Datasets and views are stored as ids and stages, runs as keys, and recipes as dictionaries.

    Args:
        given: the arguments by name

    Raises:
        ValueError: if an argument cannot be serialized; the message names it
    """
    plain = {}
    for name, value in given.items():
        try:
            plain[name] = _plain(value)
        except TypeError:
            raise ValueError(
                f"The argument {name!r} cannot be passed to a job, because a "
                f"{type(value).__name__} cannot be serialized. Pass plain values, or call without "
                f"delegate=True"
            ) from None
    return json.dumps(plain)


def decode(text: str, dataset_id: object = None) -> dict:
    """Restore the arguments that were serialized by `encode`.

    Args:
        text: the result of `encode`
        dataset_id: the id of the only dataset that is allowed; by default (None), any

    Raises:
        ValueError: if the text is invalid, if a dataset in it does not exist or is not allowed, or
            if a view has stages that are refused (see `fiftyone_gradcam.dataset.stages`)
    """
    try:
        given = json.loads(text)
        if not isinstance(given, dict):
            raise TypeError("it is not an object")
        return {name: _own(value, dataset_id) for name, value in given.items()}
    except (TypeError, KeyError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"The arguments of this job cannot be read: {error}") from error


def pack_ids(ids: Iterable[str]) -> str:
    """Serialize sample ids compactly, because the outcomes of jobs are read often."""
    return base64.b64encode(zlib.compress(bytes.fromhex("".join(ids)))).decode()


def unpack_ids(text: str) -> list[str]:
    """Restore the ids that were serialized by `pack_ids`."""
    digits = zlib.decompress(base64.b64decode(text)).hex()
    return [digits[i : i + DIGITS] for i in range(0, len(digits), DIGITS)]


def _plain(value: object) -> object:
    if isinstance(value, fo.core.collections.SampleCollection):
        stages = None if isinstance(value, fo.Dataset) else json_util.dumps(value._serialize())
        value = {VIEW: {"id": str(value._root_dataset._doc.id), "stages": stages}}
    elif is_dataclass(value):  # a run, or a recipe
        value = value.key if hasattr(value, "key") else {RECIPE: value.to_dict()}
    elif isinstance(value, list | tuple):
        value = [_plain(item) for item in value]
    elif isinstance(value, dict):
        value = {str(name): _plain(item) for name, item in value.items()}
    elif isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif value is not None and not isinstance(value, bool | int | float | str):
        raise TypeError
    return value


def _own(value: object, dataset_id: object) -> object:
    if isinstance(value, list):
        return [_own(item, dataset_id) for item in value]
    if not isinstance(value, dict):
        return value
    if RECIPE in value:
        from ..training.recipe import Recipe

        return Recipe(**value[RECIPE])
    if VIEW in value:
        return _collection(**value[VIEW], only=dataset_id)
    return {name: _own(item, dataset_id) for name, item in value.items()}


def _collection(id: str, stages: str | None, only: object) -> fo.core.collections.SampleCollection:
    if only is not None and id != str(only):
        raise ValueError("The arguments of this job refer to another dataset")
    try:
        dataset = fo.core.odm.load_dataset(id=id)
    except Exception as error:
        raise ValueError(f"The dataset of this job does not exist: {error}") from error
    return dataset if stages is None else build_view(dataset, json_util.loads(stages))
