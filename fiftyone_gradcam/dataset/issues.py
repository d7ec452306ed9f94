"""How label issues are stored."""

from __future__ import annotations

import fiftyone as fo

from ..review.label_issues import LabelIssues
from .fields import describe_field


def write_label_issues(
    dataset: fo.Dataset,
    ids: list[str],
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
        found: the verdict
        classes: names of the class indexes in `found`
        quality_field, suggestion_field: where to put it; values of earlier checks of these
            samples are replaced
        label_field: the labels that were judged, for the record
    """
    qualities = dict(zip(ids, found.quality.tolist(), strict=True))
    suggestions = {
        sample_id: fo.Classification(label=classes[index], confidence=score) if differs else None
        for sample_id, index, score, differs in zip(
            ids,
            found.suggested.tolist(),
            found.suggested_score.tolist(),
            found.issues.tolist(),
            strict=True,
        )
    }
    dataset.add_sample_field(quality_field, fo.FloatField)
    dataset.add_sample_field(
        suggestion_field, fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification
    )
    dataset.set_values(quality_field, qualities, key_field="id", validate=False)
    dataset.set_values(suggestion_field, suggestions, key_field="id", validate=False)
    facts = {"classes": classes, "label_field": label_field}
    describe_field(
        dataset,
        quality_field,
        f"Out-of-fold probability of the label in {label_field!r}; low is suspicious",
        **facts,
    )
    describe_field(
        dataset,
        suggestion_field,
        f"A class more probable than the label in {label_field!r}",
        **facts,
    )
