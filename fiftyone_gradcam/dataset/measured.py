"""The samples and labels that an accuracy was measured on.

Accuracies can be compared only if both are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import fiftyone as fo


def measured_on(dataset: fo.Dataset, paths: Sequence[str], labels: Sequence[str]) -> dict:
    """Compute digests that identify a set of samples and their labels.

    Args:
        dataset: the dataset of the samples
        paths, labels: file paths and labels of the samples

    Returns:
        a dictionary with two digests, "samples" and "labels"
    """
    ids = dict(zip(*dataset.values(["filepath", "id"]), strict=True))
    rows = sorted((ids.get(path, path), label) for path, label in zip(paths, labels, strict=True))
    return {
        "samples": _digest(sample_id for sample_id, _ in rows),
        "labels": _digest(f"{sample_id} {label}" for sample_id, label in rows),
    }


def difference(measured: Mapping[str, dict | None]) -> str | None:
    """Explain why the accuracies of some runs cannot be compared.

    Args:
        measured: the result of `measured_on` by run key; None if it is unknown

    Returns:
        the reason in words; None if the accuracies can be compared
    """
    known = {key: one for key, one in measured.items() if one}
    if len(measured) < 2:
        return None
    what = next(
        (x for x in ("samples", "labels") if len({one[x] for one in known.values()}) > 1), None
    )
    unknown = [key for key in measured if key not in known]
    if what is None and not unknown:
        return None
    why = f"with different {what}" if what == "labels" else "on different samples"
    if what is None:
        why = f"on samples that are unknown ({', '.join(map(repr, unknown))})"
    return f"These accuracies were measured {why}: compare_runs() uses the same samples for both"


def _digest(lines: Iterable[str]) -> str:
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=12).hexdigest()
