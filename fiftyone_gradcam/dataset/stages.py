"""Views as text from elsewhere: which of their stages are built."""

from __future__ import annotations

from collections.abc import Iterator

import fiftyone as fo
from fiftyone.core import stages as fost

# FiftyOne imports and calls whatever class a stage names: these are its own stages.
KNOWN = {f"{kind.__module__}.{kind.__name__}": kind for kind in fost._STAGES}
# What runs code in the database, writes to it, or reads what is not the dataset's.
REFUSED = frozenset(
    [
        *("$function", "$accumulator", "$where", "$out", "$merge", "$lookup", "$graphLookup"),
        *("$unionWith", "$currentOp", "$listSessions", "$documents"),
    ]
)
# They are built by way of other datasets, which they name.
GENERATED = (fost.ToPatches, fost.ToEvaluationPatches, fost.ToClips, fost.ToTrajectories)
GENERATED += (fost.ToFrames,)
MOST_DEPTH = 60


def build_view(dataset: fo.Dataset, stages: object) -> fo.DatasetView:
    """A view of a dataset, from stages as FiftyOne writes them down.

    Raises:
        ValueError: if a stage is none of FiftyOne's, runs code, or leads to other data
    """
    check_stages(stages, str(dataset._doc.id), dataset.name)
    return fo.DatasetView._build(dataset, stages)


def check_stages(stages: object, dataset_id: str, dataset_name: str) -> None:
    """Refuse stages that are none of FiftyOne's, run code, or lead to another dataset.

    Args:
        stages: what is to be a list of stages
        dataset_id, dataset_name: of the dataset that they are for

    Raises:
        ValueError: naming what is refused
    """
    if not isinstance(stages, list):
        raise ValueError(f"A view is a list of stages, not a {type(stages).__name__}")
    for stage in stages:
        name = stage.get("_cls") if isinstance(stage, dict) else None
        if not isinstance(name, str) or name not in KNOWN:
            raise ValueError(f"{str(name)[:80]!r} is not a stage of a FiftyOne view")
        if KNOWN[name] in GENERATED:
            raise ValueError(
                "Patches, clips and frames are not images to classify. Choose a view of samples"
            )
        if not _is_pairs(stage.get("kwargs")):
            raise ValueError(f"The stage {name!r} of the view has no readable arguments")
        for value in _dictionaries(stage["kwargs"]):
            if refused := REFUSED & value.keys():
                raise ValueError(
                    f"A view with {sorted(refused)[0]!r} is refused: it would run code in the "
                    f"database, or reach other data than the dataset's"
                )
        if KNOWN[name] is fost.Concat:
            _check_concat(dict(stage["kwargs"]).get("samples"), dataset_id, dataset_name)


def _check_concat(other: object, dataset_id: str, dataset_name: str) -> None:
    """The only stage that holds others, and that names a dataset."""
    if not isinstance(other, dict):
        raise ValueError("A view is joined with something that is not a view")
    named = [(other.get("dataset_id"), dataset_id), (other.get("dataset"), dataset_name)]
    if any(found not in (None, own) for found, own in named) or not any(x for x, _ in named):
        raise ValueError(f"A view of {dataset_name!r} is joined with one of another dataset")
    check_stages(other.get("stages"), dataset_id, dataset_name)


def _is_pairs(kwargs: object) -> bool:
    return isinstance(kwargs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in kwargs
    )


def _dictionaries(value: object, depth: int = 0) -> Iterator[dict]:
    """All dictionaries within a value."""
    if depth > MOST_DEPTH:
        raise ValueError(f"The view is nested more than {MOST_DEPTH} levels deep")
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _dictionaries(inner, depth + 1)
