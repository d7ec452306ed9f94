"""Splits are assigned as ever, and many classes cost no more than few."""

import time
from collections import Counter

import numpy as np
import pytest

from fiftyone_gradcam.folders.assignment import are_counts, assign

FRACTIONS = [
    {"train": 0.6, "val": 0.2, "test": 0.2},
    {"train": 0.5, "val": 0.1},
    {"x": 10, "y": 5},
    {"train": 3, "val": 1, "test": 1},
    {"a": 1.0},
    {f"fold_{i}": 1 / 7 for i in range(7)},
    {"a": 0.7, "b": 0.1, "c": 0.15},
]


# The oracle: the algorithm as it was first written, which looks at every class for every sample.
def deal_slowly(labels, fractions, seed=0, groups=None):
    random = np.random.default_rng(seed)
    names = list(fractions)
    classes = sorted({label for label in labels if label is not None})
    sizes = np.array([sum(label == name for label in labels) for name in classes])
    shares = np.array([slow_shares(fractions, size) for size in sizes]).reshape(len(classes), -1)
    if groups is not None and len({g for g in groups if g is not None}) < len(labels):
        found = slow_groups(labels, classes, shares * sizes[:, None], groups, random)
        return [names[i] if i is not None and i < len(names) else None for i in found]
    owed = np.zeros(len(names) + 1)
    result = [None] * len(labels)
    for label, share in zip(classes, shares, strict=True):
        members = random.permutation([i for i, x in enumerate(labels) if x == label])
        ideal = len(members) * share
        counts = np.floor(ideal + 1e-9).astype(int)
        for _ in range(len(members) - counts.sum()):
            counts[np.argmax(np.round(ideal - counts + owed, 9))] += 1
        for i in range(min(len(names), len(members))):
            if counts[i] == 0:
                spare = counts - (np.arange(len(counts)) < min(len(names), len(members)))
                counts[np.argmax(spare)] -= 1
                counts[i] += 1
        owed += ideal - counts
        for name, chunk in zip(names, np.split(members, np.cumsum(counts)[:-1]), strict=False):
            for i in chunk:
                result[i] = name
    return result


def slow_shares(fractions, size):
    shares = list(map(float, fractions.values()))
    if are_counts(fractions):
        shares = [count / max(size, sum(shares)) for count in shares]
    return [*shares, max(0.0, 1 - sum(shares))]


def slow_groups(labels, classes, ideal, groups, random):
    place = {name: k for k, name in enumerate(classes)}
    members = {}
    for i, (label, group) in enumerate(zip(labels, groups, strict=True)):
        if label is not None:
            members.setdefault(("alone", i) if group is None else ("group", group), []).append(i)
    order = random.permutation(len(members))
    bags = [list(members.values())[i] for i in order]
    bags.sort(key=len, reverse=True)
    lacking, found = ideal.copy(), [None] * len(labels)
    weights = 1 / np.maximum(ideal, 1e-9)
    weights[ideal <= 0] = 0
    for bag in bags:
        counts = np.bincount([place[labels[i]] for i in bag], minlength=len(classes))
        scores = (counts[:, None] * lacking * weights).sum(0)
        scores[ideal.sum(0) <= 0] = -np.inf
        split = int(np.argmax(scores))
        lacking[:, split] -= counts
        for i in bag:
            found[i] = split
    return found


@pytest.mark.parametrize("fractions", FRACTIONS)
@pytest.mark.parametrize("grouping", ["no groups", "groups", "each alone"])
def test_the_same_seed_deals_as_ever(fractions, grouping):
    random = np.random.default_rng(7)
    for seed in range(25):
        classes, count = int(random.integers(1, 30)), int(random.integers(1, 300))
        chances = random.dirichlet(np.full(classes, 0.5))
        labels = [
            None if random.random() < 0.05 else f"class {random.choice(classes, p=chances)}"
            for _ in range(count)
        ]
        groups = {
            "no groups": None,
            "groups": [
                None if random.random() < 0.3 else int(random.integers(1, max(2, count // 3)))
                for _ in labels
            ],
            "each alone": [None] * count,
        }[grouping]
        expected = deal_slowly(labels, fractions, seed, groups)
        assert assign(labels, fractions, seed, groups) == expected, (seed, classes, count)


@pytest.mark.parametrize(
    ("classes", "each", "folds"), [(3, 10, 30), (100, 3, 5), (3, 10, 12), (7, 2, 14), (4, 25, 7)]
)
def test_folds_are_of_equal_size_however_few_images_a_class_has(classes, each, folds):
    labels = [f"class {i // each}" for i in range(classes * each)]
    shares = {f"fold_{number}": 1 / folds for number in range(1, folds + 1)}
    for seed in range(5):
        found = Counter(assign(labels, shares, seed, even=True))
        assert max(found.values()) - min(found[name] for name in shares) <= 1
        of_class = Counter(zip(labels, assign(labels, shares, seed, even=True), strict=True))
        parts = {of_class[label, name] for label in labels for name in shares}
        assert parts <= {each // folds, -(-each // folds)}
        pairs = [i // 2 for i in range(len(labels))]  # which stay together
        found = Counter(assign(labels, shares, seed, pairs, even=True))
        assert max(found.values()) - min(found[name] for name in shares) <= 4


def test_nothing_is_dealt_to_nobody():
    assert assign([], {"train": 1.0}) == []
    assert assign([None, None], {"train": 0.5}, groups=[1, 1]) == [None, None]


@pytest.mark.parametrize(("grouped", "most"), [(False, 12), (True, 3)])
def test_many_classes_cost_no_more_than_few(grouped, most):
    def seconds(classes: int) -> float:
        labels = [f"class {i % classes}" for i in range(20_000)]
        groups = [i // 3 for i in range(20_000)] if grouped else None
        times = []
        for _ in range(3):
            start = time.process_time()
            assign(labels, FRACTIONS[0], 0, groups)
            times.append(time.process_time() - start)
        return min(times)

    # About 4, a shuffle for each class, and 1 with groups. With deal_slowly it is 30, and 6.
    assert seconds(2000) / seconds(20) < most
