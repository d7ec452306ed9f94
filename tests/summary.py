"""How many hostile inputs and faults there were, and what became of them, of all processes."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

OUTCOMES = ("refused", "accepted")
HOSTILE: Counter = Counter()  # inputs by verb, kind and outcome, of all processes of the tests
FAULTS: Counter = Counter()  # by verb, kind and outcome


def _own_counts(module: str) -> Counter:
    return getattr(sys.modules.get(module), "COUNTS", Counter())


def pytest_sessionfinish(session) -> None:
    """In a worker of pytest-xdist: hand the counts over."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        for module in ("judging", "counted"):
            output[module] = [[*names, count] for names, count in _own_counts(module).items()]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """Take the counts of a worker."""
    for module, counts in (("judging", HOSTILE), ("counted", FAULTS)):
        for *names, count in getattr(node, "workeroutput", {}).get(module, []):
            counts[tuple(names)] += count


def pytest_terminal_summary(terminalreporter) -> None:
    """Say how many hostile inputs and faults there were, and what became of them."""
    if counts := HOSTILE + _own_counts("judging"):
        terminalreporter.section("hostile inputs, by kind and verb")
        for kind in sorted({kind for _, kind, _ in counts}):
            verbs = sorted({verb for verb, other, _ in counts if other == kind})
            for verb in verbs if len(verbs) == 1 else ("all", *verbs):
                own = (verb,) if verb != "all" else verbs
                both = (f"{sum(counts[v, kind, x] for v in own):6} {x}" for x in OUTCOMES)
                terminalreporter.line(f"  {kind:34} {verb:22} {' '.join(both)}")
        terminalreporter.line(f"  {sum(counts.values())} in all")
    if counts := FAULTS + _own_counts("counted"):
        terminalreporter.section("faults, by verb and kind, and what came of them")
        for verb, kind in sorted({names[:2] for names in counts}):
            own = {outcome: n for (*names, outcome), n in counts.items() if names == [verb, kind]}
            words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(own.items()))
            terminalreporter.line(f"  {verb:24} {kind:18} {words}")
        outcomes = ("survived", "lost", "mixed", "not repeated", "left over", "other")
        sums = {x: sum(n for names, n in counts.items() if names[2] == x) for x in outcomes}
        words = ", ".join(f"{count} {outcome}" for outcome, count in sums.items())
        terminalreporter.line(f"  {sum(counts.values())} in all: {words}")
