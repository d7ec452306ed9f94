"""Check embeddings that the user passes: an array, or the name of a field."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ..similar import did_you_mean
from .fields import is_owned, root_dataset, whole

Embeddings = np.ndarray | str
VECTORS = (fo.VectorField, fo.ArrayField, fo.ListField)


def given_embeddings(
    samples: fo.core.collections.SampleCollection, embeddings: Embeddings
) -> np.ndarray:
    """Check embeddings and return them as an array.

    Args:
        samples: a dataset or view
        embeddings: (N, C) finite numbers, in the order of the samples; or the name of a field with
            a vector for each sample

    Returns:
        (N, C) float32; rows of NaN for samples that have no vector in the field

    Raises:
        ValueError: if they are invalid; the message names the problem and a sample
        TypeError: if they are neither an array nor the name of a field
    """
    if isinstance(embeddings, str):
        return _of_field(samples, embeddings)
    count = len(samples)
    if embeddings is None or isinstance(embeddings, dict | bytes):
        raise TypeError(
            f"embeddings must be an array (N, C) or the name of a field, not "
            f"{type(embeddings).__name__}"
        )
    try:
        values = np.asarray(embeddings, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"embeddings must be numbers, a row of the same length for each of the {count} "
            f"samples: {error}"
        ) from None
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(
            f"embeddings must have two dimensions, (number of samples, length of a vector), not "
            f"the shape {values.shape}"
        )
    if len(values) != count:
        raise ValueError(
            f"embeddings has {len(values)} rows, and there are {count} samples. Pass a row for "
            f"each sample, in their order"
        )
    wrong = np.flatnonzero(~np.isfinite(values).all(1))
    if len(wrong):
        path = samples.values("filepath")[wrong[0]]
        raise ValueError(
            f"embeddings holds NaN or infinity in {len(wrong)} of {count} rows, such as row "
            f"{wrong[0]}, of {path}. Leave these samples out of both"
        )
    return values


def _of_field(samples: fo.core.collections.SampleCollection, name: str) -> np.ndarray:
    dataset = root_dataset(samples)
    known = vector_fields(dataset)
    field = dataset.get_field(name)
    if field is None or not isinstance(field, VECTORS):
        what = "is not a field" if field is None else f"holds {type(field).__name__}s, not vectors"
        raise ValueError(
            f"{name!r} {what} of {dataset.name!r}. {did_you_mean(name, known)}Fields of vectors: "
            f"{', '.join(known) or 'none yet; compute_embeddings(..., field=) makes one'}"
        )
    vectors = whole(samples).values(name)
    there = [row for row, vector in enumerate(vectors) if vector is not None]
    if not there:
        raise ValueError(f"Field {name!r} is empty in all {len(vectors)} samples")
    rows = []
    for row in there:
        try:
            rows.append(np.asarray(vectors[row], np.float32).reshape(-1))
        except (TypeError, ValueError):
            raise ValueError(f"Field {name!r} does not hold vectors of numbers") from None
        if len(rows[-1]) != len(rows[0]) or not np.isfinite(rows[-1]).all():
            why = f"has {len(rows[-1])} numbers, not {len(rows[0])}"
            why = why if len(rows[-1]) != len(rows[0]) else "holds NaN or infinity"
            path = samples.values("filepath")[row]
            raise ValueError(f"The vector in field {name!r} of {path} {why}. Compute it again")
    if not len(rows[0]):
        raise ValueError(f"The vectors in field {name!r} have no numbers")
    found = np.full((len(vectors), len(rows[0])), np.nan, np.float32)
    found[there] = np.stack(rows)
    if len(there) < len(vectors):
        print(f"{len(vectors) - len(there)} of {len(vectors)} samples have no vector in {name!r}")
    return found


def vector_fields(dataset: fo.Dataset) -> list[str]:
    """Return the names of the top-level fields that hold vectors."""
    found = {}
    for name, field in dataset.get_field_schema().items():
        is_numbers = isinstance(field, fo.ListField) and isinstance(
            field.field, fo.FloatField | fo.IntField
        )
        if isinstance(field, fo.VectorField | fo.ArrayField) or is_numbers:
            found[name] = field
    return list(found)


def embedding_fields(dataset: fo.Dataset) -> list[str]:
    """Return the `vector_fields` except those with class probabilities that `predict` wrote."""
    lists = {
        name: field
        for name, field in dataset.get_field_schema(ftype=fo.ListField).items()
        if is_owned(field)
    }
    return [name for name in vector_fields(dataset) if name not in lists]


def check_one_source(
    embeddings: Embeddings | None,
    backbone: str | None = None,
    weights: str | None = None,
    **others: object,
) -> None:
    """Check that embeddings are not combined with a network that would compute them.

    Args:
        embeddings: the user's embeddings; None if not given
        backbone, weights: the user's choice of a network; None if not given
        **others: further arguments that specify a network, by name

    Raises:
        ValueError: if both are given; the message names them
    """
    for name, value in {"backbone": backbone, "weights": weights, **others}.items():
        if embeddings is not None and value is not None:
            raise ValueError(
                f"Pass embeddings or {name}={value!r}, not both: the network would not be used"
            )


def check_can_wait(embeddings: Embeddings | None) -> None:
    """Check that embeddings can be passed to a job, which takes only the name of a field.

    Raises:
        ValueError: if they cannot; the message says what to do
    """
    if embeddings is not None and not isinstance(embeddings, str):
        raise ValueError(
            "A job takes embeddings from a field: store the array with "
            "dataset.set_values(name, embeddings), and pass embeddings=name"
        )
