"""What speaks against a label, now and at the time of a decision, in words."""

from __future__ import annotations

from collections.abc import Mapping

from ..review.kinds import FORMER_POSSIBLE, KINDS
from .review_state import REVIEW, Columns, label_in


def evidence_in(row: Mapping, columns: Columns) -> str:
    """Return why a label is or was suspicious, in words; empty if nothing is known against it.

    A decision removes the issue and the suggestion, and keeps the evidence. A later check of the
    labels finds nothing against what a person has decided, so the evidence stays the same.
    """
    issue = row.get(columns.issue) or {}
    if issue.get("evidence"):
        kind = f"{issue['label']}: "  # the evidence of poor images starts with it already
        return kind + issue["evidence"].removeprefix(kind)
    review = _review_of(row, columns)
    is_of_label = review.get("new_label") == label_in(row, columns)
    decided = review if is_of_label else decided_since(row, columns)
    if decided.get("evidence"):
        return decided["evidence"]
    words = [said] if (said := predicted_in(row, columns)) else []
    if row.get(columns.quality) is not None:
        words.append(f"label quality {row[columns.quality]:.3f}")
    other = row.get(columns.suggestion) or {}
    if other.get("label"):
        words.append(f"{other['label']!r} suggested with {other.get('confidence') or 0:.1%}")
    return "; ".join(words)


def decided_since(row: Mapping, columns: Columns) -> Mapping:
    """Return the decision about a label since the labels were last checked; empty without one."""
    review = _review_of(row, columns)
    return review if (review.get("time") or "") > columns.checked_at else {}


def _review_of(row: Mapping, columns: Columns) -> Mapping:
    """Return the last decision about a label; empty without one."""
    review = row.get(REVIEW) or {}
    return review if review.get("label_field") == columns.label_field else {}


def predicted_in(row: Mapping, columns: Columns) -> str:
    """Return the first prediction that differs from a label, in words; empty if there is none."""
    label = label_in(row, columns)
    for name, classes in columns.scores.items():
        found = row.get(f"{name}_scores")
        if found and label is not None:
            most = max(range(len(found)), key=found.__getitem__)
            if classes[most] != label:
                return f"{name}: {classes[most]!r} with {found[most]:.1%}"
    return ""


def kind_in(row: Mapping, columns: Columns) -> str | None:
    """Return the kind of a sample's issue, or the one it had before a decision; None without one.

    The evidence of a decision starts with it.
    """
    issue = row.get(columns.issue) or {}
    if issue.get("label"):
        return issue["label"]
    kind, colon, _ = (decided_since(row, columns).get("evidence") or "").partition(": ")
    return kind if colon and kind in (*KINDS, FORMER_POSSIBLE) else None


def issue_words(row: Mapping, columns: Columns) -> list[str]:
    """Return the issue of an image and the decision about its label, each as a sentence."""
    if kind_in(row, columns) is None:
        return []
    evidence, review = evidence_in(row, columns), row.get(REVIEW) or {}
    sentence = f"{evidence[:1].upper()}{evidence[1:]}."
    if review.get("label_field") != columns.label_field:
        return [sentence]
    old, new = review.get("old_label"), review.get("new_label")
    change = f"{new!r} was kept" if old == new else f"{old!r} was changed to {new!r}"
    is_older = review.get("evidence") == evidence  # not a result of a check after the review
    return [
        f"This label was reviewed ({review['label']}): {change}.",
        f"Before the review: {evidence}." if is_older else sentence,
    ]


def suggestion_in(row: Mapping, columns: Columns) -> str | None:
    """Return the class that is suggested instead of a label, or was before a decision; None if
    there is none."""
    if columns.suggestion is None:
        return None
    other = row.get(columns.suggestion) or {}
    return other.get("label") or decided_since(row, columns).get("suggestion")
