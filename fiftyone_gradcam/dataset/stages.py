"""Build views from untrusted descriptions, after checking each of their stages."""

from __future__ import annotations

from collections.abc import Iterator

import fiftyone as fo
from fiftyone.core import stages as fost

# FiftyOne imports and calls any class that a stage names. Only its own stages are allowed.
KNOWN = {f"{kind.__module__}.{kind.__name__}": kind for kind in fost._STAGES}
# Operators that run code in the database, write to it, or read other data than the dataset's.
REFUSED = frozenset(
    [
        *("$function", "$accumulator", "$where", "$out", "$merge", "$lookup", "$graphLookup"),
        *("$unionWith", "$currentOp", "$listSessions", "$documents"),
    ]
)
# Stages that are built through other datasets, which they name.
GENERATED = (fost.ToPatches, fost.ToEvaluationPatches, fost.ToClips, fost.ToTrajectories)
GENERATED += (fost.ToFrames,)
MOST_DEPTH = 60


def build_view(dataset: fo.Dataset, stages: object) -> fo.DatasetView:
    """Return a view of a dataset, built from serialized stages.

    Raises:
        ValueError: if a stage is not one of FiftyOne's, runs code, or reads other data
    """
    check_stages(stages, str(dataset._doc.id), dataset.name)
    return fo.DatasetView._build(dataset, stages)


def check_stages(stages: object, dataset_id: str, dataset_name: str) -> None:
    """Check that stages are FiftyOne's own, run no code, and read no other dataset.

    Args:
        stages: should be a list of serialized stages
        dataset_id, dataset_name: id and name of the dataset that the view is for

    Raises:
        ValueError: if a stage is refused; the message names it
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
    """Check a `Concat` stage, the only one that contains other stages and names a dataset."""
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
    """Yield all dictionaries within a value, at any depth."""
    if depth > MOST_DEPTH:
        raise ValueError(f"The view is nested more than {MOST_DEPTH} levels deep")
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _dictionaries(inner, depth + 1)
