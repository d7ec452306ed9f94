"""How reviews changed the labels between two trainings, in words."""

from __future__ import annotations

from dataclasses import dataclass, field

import fiftyone as fo

from ..progress import counted
from .labels_before import labels_before, labels_to_learn
from .reviews import LEFT_OUT, journal
from .run import BEFORE_REVIEW, CURRENT, Run


@dataclass(frozen=True)
class Changes:
    """How the labels of a repeated training differ from those of the run that it repeats.

    Attributes:
        words: what differs, as a sentence without a period
        notes: remarks on the comparison of both
    """

    words: str
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, dataset: fo.Dataset, run: Run, labels: str) -> Changes:
        """Find the changes.

        Args:
            dataset: the dataset
            run: the run that is repeated
            labels: the labels of the repeated training, "current" or "before_review"

        Raises:
            ValueError: if `run` itself was trained on the labels before review, or if labels is
                "before_review" and the labels were the same when `run` was trained
        """
        if run.labels == BEFORE_REVIEW:
            raise ValueError(
                f"Run {run.key!r} was trained on the labels before review, to be compared with "
                f"another run. Pass that run"
            )
        if labels == CURRENT:
            return cls._since(dataset, run)
        first = labels_to_learn(dataset, run.label_field, labels)
        then = labels_before(dataset, run.label_field, run.learned_at or "")
        differ = [i for i, label in first.items() if then.get(i, _NOW) != label]
        if not differ:
            raise ValueError(
                f"Run {run.key!r} was trained before labels were corrected, so it shows already "
                f"what the labels before review lead to. retrain(..., {run.key!r}) trains on the "
                f"corrected ones"
            )
        words = f"{counted(len(differ), 'label was', 'labels were')} corrected before run "
        return cls(f"{words}{run.key!r} was trained", [*_trained_on(dataset, differ)])

    @classmethod
    def _since(cls, dataset: fo.Dataset, run: Run) -> Changes:
        """Find the changes since a run was trained."""
        time = run.learned_at or ""
        corrected = list(labels_before(dataset, run.label_field, time))
        last = {x.sample_id: x for x in journal(dataset) if x.label_field == run.label_field}
        out = sum(x.decision in LEFT_OUT and x.time > time for x in last.values())
        said = []
        if corrected:
            said.append(f"{counted(len(corrected), 'label was', 'labels were')} corrected")
        if out:
            said.append(f"{counted(out, 'sample was', 'samples were')} excluded or marked unclear")
        if not said:
            words = f"No label was corrected since run {run.key!r} was trained"
            return cls(words, [f"{words}, so this does not show whether corrections help"])
        words = f"Since run {run.key!r} was trained, {' and '.join(said)}"
        return cls(words, [*_trained_on(dataset, corrected)])


_NOW = object()  # stands for a label that has not changed


def _trained_on(dataset: fo.Dataset, ids: list[str]) -> list[str]:
    """Return a note about how many of the corrected labels were used for training."""
    if not ids:
        return []
    used = len(dataset.select(ids).match_tags("train"))
    labels, are = counted(len(ids), "corrected label"), "is of a" if used == 1 else "are of"
    samples = "sample" if used == 1 else "samples"
    return [
        f"{used} of {labels} {are} {samples} tagged 'train': only these change what the network "
        f"learns. Both runs are compared with the corrected labels"
    ]
