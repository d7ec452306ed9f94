"""Comparison of two classifiers on the same images, and a test whether they differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..progress import counted
from .confusion import wilson_interval

# The results that an image can have with two classifiers, in the order in which they are shown.
RESULTS = ("both_right", "fixed", "broken", "both_wrong")
SURE = 0.05  # p-values below this are significant
CLEAR = 25  # number of images that differ, below which there are too few for a small difference


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the p-value of McNemar's exact test that two classifiers are equally good.

    Q. McNemar, Note on the sampling error of the difference between correlated proportions,
    Psychometrika 1947; exact: the binomial test of the pairs that differ.

    Args:
        only_a, only_b: numbers of images that only one of them classifies correctly

    Returns:
        the two-sided p-value, in (0, 1]
    """
    count, fewer = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(count, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2**count)


@dataclass(frozen=True)
class Pairs:
    """Results of two classifiers on the same N images.

    Attributes:
        count: N
        right_a, right_b: the number of images that each classifies correctly
        only_a, only_b: the number of images that only this one classifies correctly
        both_wrong: the number of images that neither classifies correctly
    """

    count: int
    right_a: int
    right_b: int
    only_a: int
    only_b: int
    both_wrong: int

    @classmethod
    def of(cls, right_a: np.ndarray, right_b: np.ndarray) -> Pairs:
        """Count pairs of results: right_a, right_b (N,) bool."""
        return cls(
            len(right_a),
            int(right_a.sum()),
            int(right_b.sum()),
            int((right_a & ~right_b).sum()),
            int((right_b & ~right_a).sum()),
            int((~right_a & ~right_b).sum()),
        )

    @classmethod
    def counted(cls, counts: Mapping[tuple[str, str, str], int]) -> Pairs:
        """Count from numbers of images by label and both predictions."""
        facts = [(a == label, b == label, n) for (label, a, b), n in counts.items()]

        def total(*wanted: tuple[bool, bool]) -> int:
            return sum(n for a, b, n in facts if (a, b) in wanted)

        both, only_a, only_b = (True, True), (True, False), (False, True)
        return cls(
            sum(counts.values()),
            total(both, only_a),
            total(both, only_b),
            total(only_a),
            total(only_b),
            total((False, False)),
        )

    @property
    def p_value(self) -> float:
        """The p-value of McNemar's exact test."""
        return mcnemar(self.only_a, self.only_b)

    @property
    def interval_a(self) -> tuple[float, float]:
        """The 95% confidence interval of the first accuracy."""
        return wilson_interval(self.right_a, self.count)

    @property
    def interval_b(self) -> tuple[float, float]:
        """The 95% confidence interval of the second accuracy."""
        return wilson_interval(self.right_b, self.count)

    @property
    def both_right(self) -> int:
        """The number of images that both classify correctly."""
        return self.count - self.only_a - self.only_b - self.both_wrong

    def outcomes(self, a: str, b: str) -> list[tuple[str, str, int]]:
        """Return the results that an image can have.

        Args:
            a, b: names of both classifiers, to be shown as they are

        Returns:
            for each result, its key, its name, and the number of images
        """
        names = ("Both are right", f"Fixed: only {b} is right", f"Broken: only {a} is right")
        counts = (self.both_right, self.only_b, self.only_a, self.both_wrong)
        return list(zip(RESULTS, (*names, "Both are wrong"), counts, strict=True))

    def headline(self, a: str, b: str) -> str:
        """Describe how many images classifiers with these names classify correctly, `a` first:
        it is the earlier one, as in tables."""
        return (
            f"{a!r} is right on {self.right_a:,} of {counted(self.count, 'image')} "
            f"({self.right_a / self.count:.1%}), {b!r} on {self.right_b:,} "
            f"({self.right_b / self.count:.1%})"
        )

    def verdict(self, a: str, b: str) -> str:
        """Describe whether the difference between these classifiers is more than chance."""
        differ = self.only_a + self.only_b
        if not differ:
            return "Both are right on the same images"
        if self.only_a == self.only_b:
            return "Both are right on the same number of images, but not on the same ones"
        odds = f"McNemar's exact test, p = {self.p_value:.2g}"
        if self.p_value < SURE:
            better = b if self.only_b > self.only_a else a
            return f"{better!r} is better: the difference is more than chance ({odds})"
        few = ": too few images to tell them apart" if differ < CLEAR else ""
        return f"The difference may be chance{few} ({odds})"

    def words(self, a: str, b: str) -> str:
        """Describe the outcome, for classifiers with these names."""
        return f"{self.headline(a, b)}. {self.verdict(a, b)}"
