"""Which labels runs were trained on: how many reviews had corrected or left out before."""

from __future__ import annotations

from collections.abc import Iterable

import fiftyone as fo

from ..progress import counted
from .cached import cached
from .reviews import LEFT_OUT, Review, journal, spans
from .run import BEFORE_REVIEW, Run


def learned_words(dataset: fo.Dataset, run: Run) -> str:
    """Describe the labels that a run was trained on, such as "after 14 corrections".

    Only reviews of its label field that were not undone are counted.

    Args:
        dataset: the dataset of the run
        run: any run

    Returns:
        the words; "" if no label was reviewed yet, or if the run was trained elsewhere
    """
    if run.labels == BEFORE_REVIEW:
        return "on the labels before review"
    if not run.basis:  # it was trained elsewhere, or by a version that did not store it
        return ""
    reviews = cached(dataset, ("journal",), lambda: journal(dataset))
    own = [one for one in reviews if one.label_field == run.label_field]
    if not own:
        return ""
    corrected, left_out = decided_before(own, run.learned_at or "")
    words = f"after {counted(corrected, 'correction')}" if corrected else "before any correction"
    return words + (f", {counted(left_out, 'sample')} left out" if left_out else "")


def decided_before(reviews: Iterable[Review], time: str) -> tuple[int, int]:
    """Count the labels that differed from the first ones at some time, and the samples left out.

    Args:
        reviews: decisions about one label field, oldest first
        time: in UTC and ISO 8601

    Returns:
        the number of corrected labels, and of samples that were excluded or marked as unclear
    """
    found = spans(one for one in reviews if one.time <= time).values()
    corrected = sum(last.new_label != first for first, last in found)
    return corrected, sum(last.decision in LEFT_OUT for _, last in found)
