"""On which samples, with which labels, an accuracy was measured: only the same can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import fiftyone as fo


def measured_on(dataset: fo.Dataset, paths: Sequence[str], labels: Sequence[str]) -> dict:
    """What tells samples and their labels from others.

    Args:
        dataset: whose samples they are
        paths, labels: of the samples

    Returns:
        "samples" and "labels": a digest each
    """
    ids = dict(zip(*dataset.values(["filepath", "id"]), strict=True))
    rows = sorted((ids.get(path, path), label) for path, label in zip(paths, labels, strict=True))
    return {
        "samples": _digest(sample_id for sample_id, _ in rows),
        "labels": _digest(f"{sample_id} {label}" for sample_id, label in rows),
    }


def difference(measured: Mapping[str, dict | None]) -> str | None:
    """Why the accuracies of some runs cannot be compared, in words; None if they can.

    Args:
        measured: by the key of the run, as `measured_on` returned it; None of what is unknown
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
    why = f"with other {what}" if what == "labels" else "on other samples"
    if what is None:
        why = f"on samples that are not known ({', '.join(map(repr, unknown))})"
    return f"These accuracies were measured {why}: compare_runs() compares runs on the same"


def _digest(lines: Iterable[str]) -> str:
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=12).hexdigest()
