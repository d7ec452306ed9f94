"""Which samples are watched through a training."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from . import fields

Samples = fo.core.collections.SampleCollection


def choose_watched(
    samples: Samples, watch: int | Sequence[str], label_field: str, classes: list[str], seed: int
) -> list[str]:
    """Ids of the samples to watch.

    Args:
        samples: a dataset or view
        watch: how many, taken from those tagged "val" (or else "train", or else all), one of each
            class in turn; or ids
        label_field, classes: only samples of these classes can be watched
        seed: of the choice

    Raises:
        ValueError: if there are no such samples, or they have no known label
    """
    if isinstance(watch, int) and not isinstance(watch, bool):
        if watch < 0:
            raise ValueError(f"watch must be a number of samples or ids, not {watch!r}")
        pool = samples
        for tag in ("val", "train"):
            tagged = samples.match_tags(tag)
            if len(tagged):
                pool = tagged
                break
        ids, _, labels = fields.labels_of(pool, label_field)
        random = np.random.default_rng(seed)
        by_class = {name: [] for name in classes}
        for i in random.permutation(len(ids)):
            if labels[i] in by_class:
                by_class[labels[i]].append(ids[i])
        turns = max(map(len, by_class.values()), default=0)
        rows = [members[turn : turn + 1] for turn in range(turns) for members in by_class.values()]
        return [i for row in rows for i in row][:watch]
    if isinstance(watch, str) or not all(isinstance(i, str) for i in watch):
        raise ValueError(f"watch must be a number of samples or a list of ids, not {watch!r}")
    dataset = fields.root_dataset(samples)
    ids, _, labels = fields.labels_of(dataset.select(list(watch)), label_field)
    if missing := [i for i in watch if i not in ids]:
        raise ValueError(f"{dataset.name!r} has no sample {missing[0]!r} to watch")
    if strangers := [i for i, label in zip(ids, labels, strict=True) if label not in classes]:
        raise ValueError(
            f"Sample {strangers[0]!r} cannot be watched: its label is none of the classes trained"
        )
    return list(watch)
