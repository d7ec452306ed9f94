"""Record decisions about labels, and undo them."""

from __future__ import annotations

from collections.abc import Mapping

import fiftyone as fo

from ..arguments import checked
from ..dataset.decisions import decide
from ..dataset.evidence import suggestion_in
from ..dataset.fields import root_dataset
from ..dataset.review_state import (
    SUGGESTION,
    Columns,
    classes_of,
    columns_of,
    label_in,
    stored_values,
)
from ..dataset.reviews import DECISIONS, Review, reviewing
from ..dataset.undoing import undo
from ..progress import some
from ..similar import did_you_mean

Samples = fo.core.collections.SampleCollection


@checked
def review(
    samples: Samples | fo.Sample,
    decision: str,
    label: str | None = None,
    *,
    new_class: bool = False,
    label_field: str | None = None,
    shown: str | Mapping[str, str | None] | None = None,
    source: str = "Python",
) -> list[Review]:
    """Record a decision about the labels of samples: of all of them, or of none if one is refused.

    Each decision is stored together with the label: in the field `review` (decision, old and new
    label, source, time, and the evidence at that time), and in `review_history`, which
    `list_reviews` and `undo_review` use. The label keeps its id and attributes. Stored scores are
    updated: `label_score` of predictions becomes the probability of the new label; `label_quality`
    becomes 1 for a label that is accepted, relabeled or kept, and is removed for one that is
    unclear or excluded. A label that is accepted, relabeled or kept loses its suggestion, and its
    issue if that is about the label, such as "suspicious label". Unclear and excluded samples are
    left out of `split`, `fine_tune`, `evaluate` and `compare_runs`, unless `include_excluded` is
    true.

    Args:
        samples: a dataset, a view, or one sample
        decision: "accept" (use the suggested label), "relabel" (use `label`), "keep" (the label is
            right), "unclear" (the right label is not clear), or "exclude" (do not use the image)
        label: the new label, for "relabel" only
        new_class: allow a `label` that is not a class yet
        label_field: field with the labels to review; by default (None), the labels that
            `find_label_issues` judged, or else the imported labels
        shown: the label that you saw, or a dictionary of labels by sample id; the decision is
            refused if the label has changed since
        source: where the decision was made, for the record

    Returns:
        the decisions, in the order of the samples

    Raises:
        ValueError: if there are no samples, there is no such decision or class, or a sample was
            deleted, has no suggestion, or has another label than `shown`; nothing is changed
    """
    samples = _collection(samples)
    dataset = root_dataset(samples)
    if decision not in DECISIONS:
        raise ValueError(
            f"{decision!r} is not a decision. {did_you_mean(decision, DECISIONS)}Decisions: "
            f"{', '.join(map(repr, DECISIONS))}"
        )
    if (label is not None) != (decision == "relabel"):
        needs = "needs label=, the class of the image" if label is None else "cannot have a label"
        raise ValueError(f"The decision {decision!r} {needs}")
    ids = _ids(samples)
    with reviewing(dataset):
        columns = columns_of(dataset, label_field)
        if label is not None:
            _check_class(dataset, columns.label_field, label, new_class)
        if decision == "accept":
            _check_suggestions(dataset, ids, columns)

        def new_label(_: str, row: Mapping) -> str | None:
            if decision == "accept":
                return suggestion_in(row, columns)
            return label if decision == "relabel" else label_in(row, columns)

        if isinstance(shown, str):
            shown = dict.fromkeys(ids, shown)
        return decide(dataset, ids, columns, decision, new_label, source, shown)


@checked
def undo_review(samples: Samples, count: int = 1) -> list[Review]:
    """Undo the latest decisions about labels, and restore labels, scores and `review`.

    Decisions of the same call of `review` are undone together. Either all requested calls are
    undone, or none.

    Args:
        samples: the dataset, or a view of it
        count: number of calls of `review` to undo, at least 1; all if there are fewer

    Returns:
        the decisions that were undone, latest first

    Raises:
        ValueError: if there is nothing to undo, or if a label was changed after its review; nothing
            is changed
    """
    dataset = root_dataset(samples)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"count must be a whole number of at least 1, not {count!r}")
    with reviewing(dataset):
        undone = undo(dataset, count)
    if not undone:
        raise ValueError(f"There is no decision about {dataset.name!r} to undo")
    return undone


def _collection(samples: Samples | fo.Sample) -> Samples:
    """Convert a single sample to a view."""
    if not isinstance(samples, fo.Sample):
        return samples
    if samples._dataset is None:
        raise ValueError(
            f"The sample of {samples.filepath!r} is not in a dataset: it was deleted, or never "
            f"added. Choose a sample of a dataset"
        )
    return samples._dataset.select(samples.id)


def _ids(samples: Samples) -> list[str]:
    """Ids of the samples, including deleted samples that a view selects by id."""
    ids = samples.values("id")
    for stage in () if isinstance(samples, fo.Dataset) else samples._stages:
        if isinstance(stage, fo.Select):
            there = set(root_dataset(samples).select(stage.sample_ids).values("id"))
            ids += [i for i in stage.sample_ids if i not in there]
    if not ids:
        raise ValueError("There are no samples to review: this view is empty")
    return ids


def _check_class(dataset: fo.Dataset, label_field: str, label: str, new_class: bool) -> None:
    if not label.strip():
        raise ValueError(f"label must name a class, not {label!r}")
    known = classes_of(dataset, label_field)
    if label not in known and not new_class:
        raise ValueError(
            f"{label!r} is not a class of {label_field!r} yet. {did_you_mean(label, known)}Pass "
            f"new_class=True to add it. Its classes: {some(known)}"
        )


def _check_suggestions(dataset: fo.Dataset, ids: list[str], columns: Columns) -> None:
    if columns.suggestion is None:
        raise ValueError(
            f"{dataset.name!r} has no suggestions for the labels in "
            f"{columns.label_field!r}. Call find_label_issues() first, or give the label: "
            f"review(samples, 'relabel', label=...)"
        )
    rows = stored_values(dataset, ids, columns).values()
    missing = [row["filepath"] for row in rows if not suggestion_in(row, columns)]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(rows)} samples have no suggestion in {SUGGESTION!r} to "
            f"accept: {some(missing)}. Nothing was changed; choose samples with a suggestion, such "
            f"as samples.exists({SUGGESTION!r})"
        )
