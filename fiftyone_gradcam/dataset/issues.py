"""How label issues are stored."""

from __future__ import annotations

import fiftyone as fo

from ..review.label_issues import LabelIssues
from .prediction_fields import document
from .spool import replace_values
from .storing import Declared


def write_label_issues(
    dataset: fo.Dataset,
    ids: list[str],
    unjudged: list[str],
    found: LabelIssues,
    classes: list[str],
    quality_field: str,
    suggestion_field: str,
    label_field: str,
) -> None:
    """Store the quality of each label, and another class where one is more probable.

    Args:
        dataset: where to
        ids: the judged samples, in the order of `found`
        unjudged: other samples, which lose what an earlier check said of them
        found: the verdict
        classes: names of the class indexes in `found`
        quality_field, suggestion_field: where to put it; values of earlier checks of these
            samples are replaced
        label_field: the labels that were judged, for the record
    """
    facts = {"classes": classes, "label_field": label_field}
    low = f"Out-of-fold probability of the label in {label_field!r}; low is suspicious"
    other = f"A class more probable than the label in {label_field!r}"
    fields = {
        quality_field: Declared("float", low, facts, {}),
        suggestion_field: Declared("classification", other, facts, {}),
    }
    rows = {i: dict.fromkeys(fields) for i in unjudged}
    verdicts = zip(
        ids,
        found.quality.tolist(),
        found.suggested.tolist(),
        found.suggested_score.tolist(),
        found.issues.tolist(),
        strict=True,
    )
    for sample_id, quality, index, score, differs in verdicts:
        another = document(fo.Classification, label=classes[index], confidence=score)
        rows[sample_id] = {quality_field: quality, suggestion_field: another if differs else None}
    replace_values(dataset, fields, rows)
