"""States of the work on a dataset, by hand, for tests of its steps."""

from fiftyone_gradcam.app.panels.next_step import Step, steps
from fiftyone_gradcam.dataset.overview import Overview
from fiftyone_gradcam.dataset.review_counts import ReviewCounts

IMPORTED = {"samples": 398, "label_field": "truth", "classes": {"ant": 190, "bee": 200}}
SPLIT = IMPORTED | {"parts": {"train": 238, "val": 80, "test": 80}}
TRAINED = SPLIT | {"runs": {"a": "2026-01-01T10:00", "b": "2026-01-02T10:00"}}
PREDICTED = TRAINED | {"predicted": {"old": ("a", True, 398), "new": ("b", True, 390)}}
JUDGED = {
    "judged": True,
    "judged_at": "2026-01-03T10:00",
    "review": ReviewCounts(checked=True, left=17, others_left=381, expected=14),
}
REVIEWED = JUDGED | {
    "review": ReviewCounts(True, 0, 381, 17, 0, corrected=11, expected=14),
    "corrected_since": 12,
    "learned": 0,
}
FIRST = REVIEWED | {"corrected_since": 0, "corrected_first": 11}
LEARNED = REVIEWED | {"corrected_since": 0, "learned": 12}


def said_of(found: Overview) -> dict[str, Step]:
    """The steps, by their names."""
    return {one.name: one for one in steps(found)}
