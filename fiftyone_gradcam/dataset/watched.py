"""Choose the samples whose heatmaps are recorded during a training."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from . import fields

Samples = fo.core.collections.SampleCollection


def choose_watched(
    samples: Samples, watch: int | Sequence[str], label_field: str, classes: list[str], seed: int
) -> list[str]:
    """Return the ids of the samples to watch.

    Args:
        samples: a dataset or view
        watch: the number of samples, which are drawn from those tagged "val" (or else "train", or
            else from all), one of each class in turn; or a list of sample ids
        label_field, classes: only samples with one of these classes can be used
        seed: random seed of the choice

    Raises:
        ValueError: if watch is neither of these, if a sample does not exist, or if its label is
            not one of the classes
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
    is_list = np.iterable(watch) and not isinstance(watch, str)
    if not is_list or not all(isinstance(i, str) for i in watch):
        raise ValueError(f"watch must be a number of samples or a list of ids, not {watch!r}")
    dataset = fields.root_dataset(samples)
    ids, _, labels = fields.labels_of(dataset.select(list(watch)), label_field)
    if missing := [i for i in watch if i not in ids]:
        raise ValueError(f"{dataset.name!r} has no sample {missing[0]!r} to watch")
    if unknown := [i for i, label in zip(ids, labels, strict=True) if label not in classes]:
        raise ValueError(
            f"Sample {unknown[0]!r} cannot have heatmaps of each epoch: its label is not one of "
            f"the classes"
        )
    return list(watch)
