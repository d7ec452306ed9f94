"""Store label issues of samples, and the estimated number of wrong labels of the dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import fiftyone as fo
import numpy as np

from ..review.kinds import Issue
from ..review.verdict import Verdict
from .documents import document
from .label_totals import INFO
from .review_state import VOUCHED
from .spool import replace_values
from .storing import Declared

MOST_PAIRS = 50
LEAST_COUNT = 0.5  # minimum number of wrong labels for a pair of classes to be listed


def write_label_issues(
    dataset: fo.Dataset,
    ids: Sequence[str],
    judged: Mapping[int, int],
    unjudged: Sequence[str],
    verdict: Verdict,
    issues: Mapping[int, Issue],
    classes: list[str],
    names: tuple[str, str, str],
    label_field: str,
    vouched: Collection[int] = (),
) -> None:
    """Store the quality of each label, a suggested class for wrong labels, and the issues.

    Args:
        dataset: the dataset to write to
        ids: the ids of all samples that positions refer to
        judged: by position of a judged sample, its row in the verdict
        unjudged: ids of samples that lose the values of earlier checks
        verdict: the verdict on the judged samples
        issues: the issues, by position
        classes: the class names, in the order of the class indexes in the verdict
        names: names of the fields of qualities, suggestions and issues; values of earlier checks
            of these samples are replaced
        label_field: the field of the labels, stored as a fact
        vouched: positions of labels that a person has chosen or confirmed; they get no issue
    """
    quality_field, suggestion_field, issue_field = names
    facts = {"classes": classes, "label_field": label_field}
    low = (
        f"Quality of the label in {label_field!r}, from 0 (suspicious) to 1: its probability by a "
        f"model trained without this image; 1 after a review"
    )
    other = f"A class that is more probable than the label in {label_field!r}, with its probability"
    what = f"A possible problem with the image or its label in {label_field!r}, and the evidence"
    attributes = {"evidence": "text", "neighbors": "list", "sure": "bool"}
    fields = {
        quality_field: Declared("float", low, facts, {}),
        suggestion_field: Declared("classification", other, facts, {}),
        issue_field: Declared("classification", what, facts, attributes),
    }
    rows = {i: dict.fromkeys(fields) for i in unjudged}
    found = verdict.issues
    for place, row in judged.items():
        label, score = classes[found.suggested[row]], float(found.suggested_score[row])
        another = document(fo.Classification, label=label, confidence=score)
        rows[ids[place]] = {
            quality_field: float(found.quality[row]),
            suggestion_field: another if found.issues[row] else None,
            issue_field: None,
        }
    for place in vouched:
        rows[ids[place]] = dict.fromkeys(fields) | {quality_field: VOUCHED}
    for place in issues.keys() - set(vouched):
        issue = issues[place]
        rows.setdefault(ids[place], dict.fromkeys(fields))[issue_field] = document(
            fo.Classification,
            label=issue.kind,
            confidence=issue.confidence,
            evidence=issue.evidence,
            neighbors=[ids[i] for i in issue.neighbors],
            sure=issue.sure,
        )
    replace_values(dataset, fields, rows)


def note_label_issues(
    dataset: fo.Dataset,
    verdict: Verdict,
    issues: Mapping[int, Issue],
    classes: Sequence[str],
    too_few: Mapping[str, int],
    facts: dict,
) -> dict:
    """Store the estimated number of wrong labels in `dataset.info["label_issues"]`.

    Args:
        dataset: the dataset to write to
        verdict, issues, classes: see `write_label_issues`
        too_few: the number of images of each class that is too small to be judged
        facts: further facts to store, such as the method

    Returns:
        what is stored: `facts`, "judged", "estimate", "low" and "high" (95% interval), "pairs" (a
        list of "label", "class" and "count", the largest first), "kinds" (numbers of issues by
        kind), and "too_few" (a list of "class" and "count")
    """
    estimate, pairs = verdict.estimate, []
    order = np.argsort(-estimate.pairs, axis=None, kind="stable")[:MOST_PAIRS]
    for true, given in zip(*np.unravel_index(order, estimate.pairs.shape), strict=True):
        count = float(estimate.pairs[true, given])
        if count >= LEAST_COUNT:
            pair = {"label": classes[given], "class": classes[true], "count": round(count, 1)}
            pairs.append(pair)
    noted = {
        **facts,
        "judged": len(verdict.wrong),
        "estimate": round(estimate.count),
        "low": int(np.floor(estimate.low)),
        "high": int(np.ceil(estimate.high)),
        "pairs": pairs,
        "kinds": dict(Counter(issue.kind for issue in issues.values())),
        # A list, because class names may not be valid keys of the database.
        "too_few": [{"class": name, "count": count} for name, count in too_few.items()],
    }
    dataset.info[INFO] = noted
    dataset.save()
    return noted
