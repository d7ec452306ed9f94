"""The numbers of suspicious, reviewed and corrected labels, with one definition for all places."""

from __future__ import annotations

from dataclasses import dataclass

import fiftyone as fo

from ..review.kinds import OF_LABELS
from .label_totals import label_issues_info
from .review_state import REVIEW, Columns


@dataclass(frozen=True)
class ReviewCounts:
    """The numbers of labels in a review.

    A label is suspicious if the last check suggests another class for it, or if its image is there
    with two labels. A label is left until it is reviewed, and again if it has changed since.

    Attributes:
        checked: whether labels were checked by `find_label_issues`
        left, others_left: the number of suspicious labels, and of other labels, that are left
        reviewed, others_reviewed: the same numbers of labels that are reviewed
        corrected: the number of labels that reviews have changed
        expected: the expected number of wrong labels, including those that were corrected before
            the check; None if it is unknown
    """

    checked: bool = False
    left: int = 0
    others_left: int = 0
    reviewed: int = 0
    others_reviewed: int = 0
    corrected: int = 0
    expected: int | None = None

    @property
    def suspicious(self) -> int:
        """The number of suspicious labels."""
        return self.reviewed + self.left

    @property
    def others(self) -> int:
        """The number of other labels."""
        return self.others_reviewed + self.others_left

    @property
    def words(self) -> str:
        """The numbers in words.

        Such as "30 suspicious labels: 6 reviewed, 24 left; about 27 wrong labels expected in
        all, 5 corrected so far".
        """
        corrected = f"{self.corrected:,} corrected so far"
        if not self.checked:
            number = self.others_reviewed
            return f"{_labels(number)} reviewed; {corrected}" if number else ""
        words = _labels(self.suspicious, "suspicious")
        if self.suspicious:
            words += f": {self.reviewed:,} reviewed, {self.left:,} left"
        if self.others_reviewed:
            words += f"; {_labels(self.others_reviewed, 'other')} reviewed"
        is_done = not self.left and self.corrected >= (self.expected or 0)
        if self.expected is None or (self.suspicious and is_done):
            return f"{words}; {corrected}"
        if not self.expected:
            return f"{words}; no wrong labels expected, {corrected}"
        wrong = "label" if self.expected == 1 else "labels"
        if self.corrected > self.expected:
            were = "was" if self.expected == 1 else "were"
            return f"{words}; {corrected}, where about {self.expected:,} {were} expected"
        return f"{words}; about {self.expected:,} wrong {wrong} expected in all, {corrected}"

    @property
    def remark(self) -> str:
        """A remark if only labels that are not suspicious are left; otherwise empty."""
        if not self.checked or self.left or not self.others_left:
            return ""
        number = self.others_left
        others = "1 other label is" if number == 1 else f"{number:,} other labels are"
        return f"No suspicious label is left; {others} not reviewed"

    @property
    def finished(self) -> str:
        """What was done if all suspicious labels are reviewed; else empty.

        Such as "All 29 suspicious labels are reviewed, 14 labels are corrected".
        """
        if not self.checked or self.left or not self.suspicious:
            return ""
        every = f"All {self.suspicious:,} suspicious labels are reviewed"
        words = "The suspicious label is reviewed" if self.suspicious == 1 else every
        were = "label is" if self.corrected == 1 else "labels are"
        if not self.corrected:
            return f"{words}, no label is corrected"
        return f"{words}, {self.corrected:,} {were} corrected"


def review_counts(dataset: fo.Dataset, columns: Columns) -> ReviewCounts:
    """Count the labels of a field in one pass over the database."""
    info = label_issues_info(dataset)
    estimate = info.get("estimate")
    if info.get("label_field", columns.label_field) != columns.label_field:
        estimate = None
    own = {"$eq": [f"${REVIEW}.label_field", columns.label_field]}
    differs = {"$ne": [f"${REVIEW}.old_label", f"${REVIEW}.new_label"]}
    changed = {"$and": [own, differs]}
    before = {"$lte": [f"${REVIEW}.time", info.get("began") or ""]}
    group = {
        "_id": {
            "suspicious": is_suspicious(columns),
            "reviewed": is_reviewed(columns),
            "queued": is_judged(columns),
        },
        "count": {"$sum": 1},
        "corrected": {"$sum": {"$cond": [changed, 1, 0]}},
        "before": {"$sum": {"$cond": [{"$and": [changed, before]}, 1, 0]}},
    }
    rows = list(dataset._sample_collection.aggregate([{"$group": group}]))

    def total(**wanted: bool) -> int:
        return sum(row["count"] for row in rows if wanted.items() <= row["_id"].items())

    return ReviewCounts(
        checked=bool(columns.quality or columns.suggestion),
        left=total(suspicious=True, reviewed=False, queued=True),
        others_left=total(suspicious=False, reviewed=False, queued=True),
        reviewed=total(suspicious=True, reviewed=True),
        others_reviewed=total(suspicious=False, reviewed=True),
        corrected=sum(row["corrected"] for row in rows),
        expected=None if estimate is None else estimate + sum(row["before"] for row in rows),
    )


def is_suspicious(columns: Columns) -> dict:
    """Return the expression for labels that are suspicious, or were before a decision.

    See `ReviewCounts`.
    """
    said = []
    if columns.suggestion:
        said.append({"$gt": [f"${columns.suggestion}.label", None]})
    if columns.issue and (columns.quality or columns.suggestion):
        said.append({"$in": [f"${columns.issue}.label", list(OF_LABELS)]})
    if said:
        words = {"$ifNull": [f"${REVIEW}.evidence", ""]}
        kind = {"$arrayElemAt": [{"$split": [words, ": "]}, 0]}
        before = [{"$gt": [f"${REVIEW}.suggestion", None]}, {"$in": [kind, list(OF_LABELS)]}]
        own = {"$eq": [f"${REVIEW}.label_field", columns.label_field]}
        since = {"$gt": [f"${REVIEW}.time", columns.checked_at]}
        said.append({"$and": [own, since, {"$or": before}]})
    return {"$or": said}


def is_reviewed(columns: Columns) -> dict:
    """Return the expression for labels that are reviewed, and have not changed since."""
    new = {"$ifNull": [f"${REVIEW}.new_label", None]}
    own = {"$ifNull": [f"${columns.label}", None]}
    about = {"$eq": [f"${REVIEW}.label_field", columns.label_field]}
    return {"$and": [about, {"$eq": [new, own]}]}


def is_judged(columns: Columns) -> dict:
    """Return the expression for labels to review, whether or not they are reviewed.

    If the labels were checked, these are the labels with a label quality or an issue. Otherwise
    they are all labels.
    """
    asked = [{"$gt": [f"${columns.label}", ""]}]
    if columns.quality:
        judged = [{"$gt": [f"${columns.quality}", None]}]
        judged += [{"$gt": [f"${columns.issue}.label", None]}] if columns.issue else []
        asked.append({"$or": judged})
    return {"$and": asked}


def _labels(number: int, kind: str = "") -> str:
    words = f"{kind} label" if kind else "label"
    return f"{number:,} {words}{'s' * (number != 1)}"
