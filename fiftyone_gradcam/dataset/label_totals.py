"""The number of wrong labels in a dataset, as estimated by `find_label_issues`."""

from __future__ import annotations

import fiftyone as fo

INFO = "label_issues"  # in `dataset.info`


def label_issues_info(dataset: fo.Dataset) -> dict:
    """Return what `issues.note_label_issues` stored; empty if the labels were never checked."""
    return dict(dataset.info.get(INFO) or {})


def in_words(noted: dict) -> str:
    """Format an estimate, such as "About 17 of 397 labels are wrong (95% interval: 7 to 25)"."""
    count, judged = noted["estimate"], noted["judged"]
    interval = f"(95% interval: {noted['low']} to {noted['high']})"
    if not count:
        return f"Probably none of {judged} labels is wrong {interval}"
    return f"About {count} of {judged} labels {'is' if count == 1 else 'are'} wrong {interval}"
