"""The section of a report that compares two runs, such as before and after corrections."""

from __future__ import annotations

from .elements import MOST_CLASSES, missing, percent, section, table
from .facts import Compared
from .html import Html, name_of, tag


def comparison_section(found: Compared | None) -> Html:
    """The section with a comparison: the result, a table of both, and one of the classes."""
    title = "Comparison of runs"
    if found is None:
        text = (
            "This run was not compared with another one yet: call retrain() or compare_runs(), or "
            "press Retrain or Compare in the App."
        )
        return section("comparison", title, missing(text))
    pairs = found.pairs
    outcomes = [
        (name, f"{number:,}", percent(number / pairs.count))
        for _, name, number in pairs.outcomes(repr(found.a), repr(found.b))
    ]
    parts = [
        tag("p", tag("b", f"{pairs.headline(found.a, found.b)}.")),
        tag("p", f"{pairs.verdict(found.a, found.b)}. Compared on {found.made}."),
        *(tag("p", tag("b", "Note: "), note, class_="note") for note in found.notes),
        table([("Result", False), ("Samples", True), ("Share", True)], outcomes),
        tag("h3", "Classes, those that changed most first"),
    ]
    known = sorted(
        found.classes.items(),
        key=lambda pair: (-abs(pair[1].right_b - pair[1].right_a), -pair[1].count, pair[0]),
    )
    rows = [
        (name_of(name), f"{own.count:,}", f"{own.right_a:,}", f"{own.right_b:,}")
        for name, own in known[:MOST_CLASSES]
    ]
    titles = ("Samples", f"Right by {found.a!r}", f"Right by {found.b!r}")
    parts.append(table([("Class", False), *((title, True) for title in titles)], rows))
    if len(known) > MOST_CLASSES:
        parts.append(
            tag("p", f"{MOST_CLASSES} of {len(known):,} classes are listed.", class_="soft")
        )
    return section("comparison", title, *parts)
