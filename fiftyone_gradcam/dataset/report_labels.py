"""The section of a report about labels: which may be wrong, and the decisions about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import fiftyone as fo

from ..images.decode import DecodeOptions
from ..reports.facts import Correction, Decisions, Suspect, Suspects
from ..review.kinds import OF_LABELS
from .evidence import evidence_in, suggestion_in
from .fields import root_dataset, whole
from .import_record import decode_options
from .label_totals import in_words, label_issues_info
from .report_data import LISTED, import_root, shown_file
from .report_pictures import picture_of
from .review_counts import review_counts
from .review_queue import is_open
from .review_state import Columns, label_in, stored_values
from .reviews import LEFT_OUT, Review
from .since_judged import changes_since_judged

Samples = fo.core.collections.SampleCollection
CORRECTIONS = 100  # maximum number of corrections that are listed


def suspects_of(samples: Samples, columns: Columns, most: int) -> Suspects | None:
    """Return labels that may be wrong and are not reviewed yet.

    Args:
        samples: a dataset or view
        columns: the fields of the labels and of their issues
        most: the maximum number of labels that are shown

    Returns:
        the suspicious labels; None if the labels were never checked
    """
    if columns.quality is None:
        return None
    dataset = root_dataset(samples)
    said = [{f"{x}.label": {"$ne": None}} for x in (columns.suggestion, columns.issue) if x]
    asked = {"$and": [is_open(columns), {"$or": said or [{columns.quality: {"$ne": None}}]}]}
    by = {"$ifNull": [f"${columns.quality}", 2.0]}
    kind = f"${columns.issue}.label" if columns.issue else None
    other = f"${columns.suggestion}.label" if columns.suggestion else None
    pipeline = [
        {"$match": asked},
        {"$project": {"by": by, "kind": kind, "other": other}},
        {"$sort": {"by": 1, "_id": 1}},
    ]
    rows = list(whole(samples)._aggregate(post_pipeline=pipeline))
    kinds = Counter(row["kind"] for row in rows if row.get("kind"))
    wrong = [row for row in rows if row.get("other") or row.get("kind") in OF_LABELS or not said]
    is_whole = isinstance(samples, fo.Dataset)
    info = label_issues_info(dataset) if is_whole else {}
    is_own = "estimate" in info and info.get("label_field", columns.label_field) == (
        columns.label_field
    )
    ids = [str(row["_id"]) for row in wrong[:most]]
    return Suspects(
        _totals(dataset, info) if is_own else "",
        review_counts(dataset, columns).words if is_whole else "",
        len(wrong),
        dict(kinds.most_common()),
        _shown(dataset, columns, ids),
    )


def _totals(dataset: fo.Dataset, info: dict) -> str:
    """Format the estimated number of wrong labels, and the number corrected since."""
    changes = changes_since_judged(dataset, info)
    since = changes.words if changes is not None else ""
    return f"{in_words(info)}; since then {since}" if since else in_words(info)


def _shown(dataset: fo.Dataset, columns: Columns, ids: Sequence[str]) -> list[Suspect]:
    rows = stored_values(dataset, ids, columns)
    options, root, found = decode_options(dataset), import_root(dataset), []
    for row in (rows[i] for i in ids if i in rows):
        suggestion = (row.get(columns.suggestion) or {}) if columns.suggestion else {}
        issue = (row.get(columns.issue) or {}) if columns.issue else {}
        found.append(
            Suspect(
                picture_of(row["filepath"], options),
                shown_file(row["filepath"], root),
                label_in(row, columns) or "no label",
                row.get(columns.quality),
                suggestion_in(row, columns),
                suggestion.get("confidence"),
                evidence_in(row, columns) if issue else "",
                bool(issue.get("sure")),
            )
        )
    return found


def decisions_of(
    reviews: Sequence[Review], root: str | None, options: DecodeOptions, pictures: int
) -> Decisions | None:
    """Summarize the decisions of reviews.

    Args:
        reviews: the decisions, oldest first
        root: the folder that the dataset was imported from; None if unknown
        options: how unusual files are decoded
        pictures: the maximum number of corrections that are shown with their image

    Returns:
        the summary; None if there are no reviews
    """
    if not reviews:
        return None
    changed = [one for one in reviews if one.is_correction]
    shown = [
        Correction(
            shown_file(one.filepath, root),
            one.old_label,
            one.new_label,
            one.time,
            one.source,
            one.evidence,
            picture_of(one.filepath, options) if place < pictures else None,
        )
        for place, one in enumerate(reversed(changed[-CORRECTIONS:]))
    ]
    counts = Counter(one.decision for one in reviews)
    last = {one.sample_id: one for one in reviews}
    labels = sum(one.is_correction for one in last.values())
    pictured = min(pictures, len(shown))
    final = [one for one in reviews if last[one.sample_id] is one]  # by time
    left_out = {
        decision: (len(files), [shown_file(path, root) for path in reversed(files[-LISTED:])])
        for decision in reversed(LEFT_OUT)
        if (files := [one.filepath for one in final if one.decision == decision])
    }
    return Decisions(dict(counts.most_common()), len(changed), labels, shown, pictured, left_out)
